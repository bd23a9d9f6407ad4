"""What a script can tell of how a page looks and reads: width, contrast, names, headings, language (WCAG 2.2 AA where it has a number)."""

from browser import ELEMENT

CONTROLS = "a[href], button, input:not([type=hidden]), select, textarea, summary, [tabindex='0']"

# Colours are drawn and read back, so that any notation will do. What lies behind a text is what its ancestors paint, the nearest on top.
SCRIPT = """
const faults = [];
const canvas = document.createElement("canvas").getContext("2d", {willReadFrequently: true});
function rgba(colour) {
    canvas.clearRect(0, 0, 1, 1);
    canvas.fillStyle = colour;
    canvas.fillRect(0, 0, 1, 1);
    const [r, g, b, a] = canvas.getImageData(0, 0, 1, 1).data;
    return [r, g, b, a / 255];
}
const over = (top, under) => [0, 1, 2].map(i => top[i] * top[3] + under[i] * (1 - top[3])).concat(1);
function behind(element) {
    const layers = [];
    for (let at = element; at; at = at.parentElement)
        layers.unshift(rgba(getComputedStyle(at).backgroundColor));
    const ground = matchMedia("(prefers-color-scheme: dark)").matches ? [18, 18, 18, 1] : [255, 255, 255, 1];
    return layers.reduce((under, top) => over(top, under), ground);
}
function opacity(element) {
    let product = 1;
    for (let at = element; at; at = at.parentElement)
        product *= parseFloat(getComputedStyle(at).opacity);
    return product;
}
function luminance(colour) {
    const [r, g, b] = colour.slice(0, 3).map(c => (c /= 255) <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4);
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
}
function contrast(element) {
    const under = behind(element);
    const own = rgba(getComputedStyle(element).color);
    own[3] *= opacity(element);
    const [low, high] = [luminance(over(own, under)), luminance(under)].sort((a, b) => a - b);
    return (high + 0.05) / (low + 0.05);
}
const shown = element => element.checkVisibility({visibilityProperty: true}) && element.getClientRects().length > 0;

const wide = document.scrollingElement.scrollWidth;
if (wide > innerWidth)
    faults.push(`${wide} px wide in a window of ${innerWidth}`);
if (!document.documentElement.lang)
    faults.push("no language is named");
if (!document.title)
    faults.push("no title");
if (document.querySelectorAll("main").length !== 1)
    faults.push("not one <main>");
const levels = [...document.querySelectorAll("h1, h2, h3, h4, h5, h6")].filter(shown).map(heading => Number(heading.tagName[1]));
if (levels[0] !== 1 || levels.filter(level => level === 1).length !== 1 || levels.some((level, i) => i > 0 && level > levels[i - 1] + 1))
    faults.push(`headings of the levels ${levels}`);
const ids = [...document.querySelectorAll("[id]")].map(element => element.id);
for (const id of ids.filter((id, i) => ids.indexOf(id) !== i))
    faults.push(`two elements with the id ${id}`);
for (const image of document.querySelectorAll("img"))
    if (!image.hasAttribute("alt") || !image.complete || !image.naturalWidth)
        faults.push(`an image without alt, or broken: ${image.src}`);

const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
for (let node; (node = walker.nextNode());) {
    const element = node.parentElement;
    const text = node.nodeValue.trim();
    if (!text || !shown(element) || element.closest("script, style"))
        continue;
    const ratio = contrast(element);
    if (ratio < 4.5)
        faults.push(`"${text.slice(0, 40)}" has a contrast of ${ratio.toFixed(2)}`);
    if (parseFloat(getComputedStyle(element).fontSize) < 12)
        faults.push(`"${text.slice(0, 40)}" is smaller than 12 px`);
}
for (const element of document.querySelectorAll("button, .button, input:not([type=hidden])"))
    if (shown(element) && element.getBoundingClientRect().height < 24)
        faults.push(`${element.id || element.textContent} is too low to be hit with a finger`);
return faults;
"""


def faults(browser):
    """What is wrong with the page that is shown, as sentences."""
    found = browser.run(SCRIPT)
    for control in browser.all(CONTROLS):
        if not browser.ask("GET", "/element/%s/computedlabel" % control).strip():
            shown = browser.run("return arguments[0].checkVisibility() ? arguments[0].outerHTML.slice(0, 80) : ''",
                                {ELEMENT: control})
            found += ["a control without a name: " + shown] if shown else []
    return found
