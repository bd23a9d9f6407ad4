#include "pages.h"

static const char style[] =
    ":root{color-scheme:light dark;--ground:light-dark(#eef1f6,#0e1218);--card:light-dark(#fff,#181e27);"
    "--line:light-dark(#d3d9e3,#313a48);--text:light-dark(#1b2330,#e8ecf3);--soft:light-dark(#566074,#9aa6b8)"
    ";"
    "--main:light-dark(#0b5cad,#7db8f5);--on-main:light-dark(#fff,#0b1a2b);"
    "--bad:light-dark(#a4161a,#ff9c9c);--bad-ground:light-dark(#fdecec,#3a1a1d)}"
    "*{box-sizing:border-box}"
    "body{margin:0;min-height:100vh;min-height:100dvh;display:flex;flex-direction:column;align-items:center;"
    "justify-content:center;padding:1.5rem 1rem;background:var(--ground);color:var(--text);"
    "font:1rem/1.5 system-ui,-apple-system,\"Segoe UI\",Roboto,sans-serif}"
    "header,main,footer{width:100%;max-width:26rem}"
    "header{display:flex;align-items:center;gap:.6rem;margin-bottom:1rem;font-weight:600}"
    "header svg{flex:none;color:var(--main)}"
    "header span span{display:block;font-weight:400;font-size:.85rem;line-height:1.2;color:var(--soft)}"
    "main{background:var(--card);border:1px solid var(--line);border-radius:.75rem;padding:1.75rem;"
    "box-shadow:0 1px 2px #0001,0 8px 24px #0000000f}"
    "h1{font-size:1.5rem;line-height:1.25;margin:0 0 .5rem}"
    "h2{font-size:1rem;margin:1.25rem 0 .25rem}"
    "p{margin:0 0 1rem}.soft,footer{color:var(--soft);font-size:.9rem}"
    "strong,code{overflow-wrap:anywhere}code{font:.85rem/1.4 ui-monospace,Menlo,Consolas,monospace}"
    "label{display:block;font-weight:600;margin:1rem 0 .3rem}"
    "input,button{font:inherit;width:100%;min-height:2.9rem;border-radius:.5rem;padding:.5rem .8rem}"
    "input{border:1px solid light-dark(#8592a6,#64728a);background:var(--card);color:inherit}"
    "input[aria-invalid]{border-color:var(--bad)}"
    "button{border:1px solid var(--main);cursor:pointer;font-weight:600;margin-top:1.5rem;"
    "background:var(--main);color:var(--on-main)}"
    "button:hover{filter:brightness(1.08)}"
    "button.second{background:transparent;color:var(--main)}"
    ".choice{display:flex;gap:.75rem}.choice button{margin-top:.25rem}"
    ".client{font:600 .9rem/1.5 "
    "ui-monospace,Menlo,Consolas,monospace;background:var(--ground);color:var(--text);"
    "padding:.1rem .35rem;border-radius:.3rem;-webkit-box-decoration-break:clone;box-decoration-break:clone}"
    ":focus-visible{outline:3px solid var(--main);outline-offset:2px}"
    ".alert{margin:1rem 0 0;padding:.6rem .8rem;border-left:4px solid var(--bad);border-radius:.3rem;"
    "background:var(--bad-ground);color:var(--bad)}.alert+p{margin:1rem 0 0}"
    "ul{list-style:none;margin:0 0 1.25rem;padding:0;border-top:1px solid var(--line)}"
    "li{padding:.6rem 0;border-bottom:1px solid var(--line)}li code{display:block;color:var(--soft)}"
    "footer{margin-top:1rem;text-align:center;text-wrap:balance}"
    "@media(max-width:30rem){body{justify-content:flex-start}main{padding:1.25rem}}";

/* Of five characters; the rest is shown as it came. */
static void put_html(struct qp_buf *out, struct qp_slice text)
{
    for (size_t i = 0; i < text.len; i++) {
        char c = text.at[i];
        if (c && strchr("&<>\"'", c))
            qp_buf_append_fmt(out, "&#%u;", (unsigned char)c);
        else
            qp_buf_append_char(out, c);
    }
}

static void put_text(struct qp_buf *out, const char *text)
{
    put_html(out, qp_slice_str(text));
}

static void page_begin(const struct si_page *page, const char *title)
{
    struct qp_buf *out = page->out;
    qp_buf_append_str(out, "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>");
    put_text(out, title);
    qp_buf_append_str(out, " - Survey stand-in</title>"
                           "<meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">"
                           "<meta name=\"robots\" content=\"noindex\"><style>");
    qp_buf_append_str(out, style);
    qp_buf_append_str(
        out, "</style></head>\n<body>\n<header><svg width=\"36\" height=\"36\" viewBox=\"0 0 36 36\" "
             "aria-hidden=\"true\"><rect width=\"36\" height=\"36\" rx=\"9\" fill=\"currentColor\"/>"
             "<path d=\"M9 19l6 6 12-14\" fill=\"none\" stroke=\"var(--on-main)\" stroke-width=\"4\" "
             "stroke-linecap=\"round\" stroke-linejoin=\"round\"/></svg><span>Survey stand-in"
             "<span>Datacenter ");
    put_text(out, page->datacenter);
    qp_buf_append_str(out, "</span></span></header>\n<main>\n<h1>");
    put_text(out, title);
    qp_buf_append_str(out, "</h1>\n");
}

static void page_end(const struct si_page *page)
{
    qp_buf_append_str(
        page->out, "</main>\n<footer>A made-up Qualtrics for tests. Nothing that you type here leaves this "
                   "computer.</footer>\n</body></html>\n");
}

static void form_begin(const struct si_page *page, const struct si_sign_in *sign_in, const char *action)
{
    qp_buf_append_fmt(
        page->out, "<form method=\"post\" action=\"%s\"><input type=\"hidden\" name=\"flow\" value=\"%s\">\n",
        action, sign_in->id);
}

/* ---- the pages ---- */

void si_page_sign_in(const struct si_page *page, const struct si_sign_in *sign_in, const char *client_id,
                     const char *name, bool failed)
{
    struct qp_buf *out = page->out;
    const char *wrong = failed ? " aria-invalid=\"true\" aria-describedby=\"alert\"" : "";
    page_begin(page, "Sign in");
    qp_buf_append_str(out, "<p class=\"soft\">to continue to <strong class=\"client\">");
    put_text(out, client_id);
    qp_buf_append_str(out, "</strong></p>\n");
    if (failed)
        qp_buf_append_str(out, "<p class=\"alert\" id=\"alert\" role=\"alert\">User name and password do not "
                               "match. Please try again.</p>\n");
    form_begin(page, sign_in, "/oauth2/sign-in");
    qp_buf_append_str(out,
                      "<label for=\"username\">User name</label>\n<input id=\"username\" name=\"username\" "
                      "autocomplete=\"username\" autocapitalize=\"none\" spellcheck=\"false\" required "
                      "value=\"");
    put_text(out, name);
    qp_buf_append_fmt(out, "\"%s%s>\n", wrong, failed ? "" : " autofocus");
    qp_buf_append_fmt(out,
                      "<label for=\"password\">Password</label>\n<input id=\"password\" name=\"password\" "
                      "type=\"password\" autocomplete=\"current-password\" required%s%s>\n",
                      wrong, failed ? " autofocus" : "");
    qp_buf_append_str(out, "<button id=\"sign-in\">Sign in</button>\n</form>\n");
    page_end(page);
}

/* What a scope allows, in words; Qualtrics' are made like verb:resource_word. */
static void put_scope_words(struct qp_buf *out, struct qp_slice scope)
{
    static const struct {
        const char *verb;
        const char *words;
    } verbs[] = {{"read", "See "}, {"write", "Create and change "}, {"manage", "See, change and delete "}};
    struct qp_slice verb = qp_slice_cut(&scope, ':');
    if (!scope.at) {
        qp_buf_append_str(out, "Stay connected while you are away");
        return;
    }
    for (size_t i = 0; i < sizeof(verbs) / sizeof(verbs[0]); i++)
        if (qp_slice_is(verb, qp_slice_str(verbs[i].verb)))
            qp_buf_append_str(out, verbs[i].words);
    if (qp_slice_is(scope, QP_SLICE("all"))) {
        qp_buf_append_str(out, "everything in your account");
        return;
    }
    for (const char *separator = ""; scope.at; separator = " ") {
        qp_buf_append_str(out, separator);
        put_html(out, qp_slice_cut(&scope, '_'));
    }
}

static void put_scope(struct qp_buf *out, struct qp_slice scope)
{
    qp_buf_append_str(out, "<li>");
    put_scope_words(out, scope);
    qp_buf_append_str(out, " <code>");
    put_html(out, scope);
    qp_buf_append_str(out, "</code></li>\n");
}

/* Scheme and authority: the part that says whose it is. */
static struct qp_slice place_of(const char *uri)
{
    struct qp_slice rest = qp_slice_str(uri);
    const char *authority = qp_slice_find(rest, QP_SLICE("://"));
    rest = authority ? qp_slice(authority + 3, rest.len - (size_t)(authority + 3 - uri)) : rest;
    struct qp_slice place = qp_slice_cut(&rest, '/');
    return qp_slice(uri, (size_t)(place.at + place.len - uri));
}

void si_page_consent(const struct si_page *page, const struct si_sign_in *sign_in, const char *client_id)
{
    struct qp_buf *out = page->out;
    struct qp_slice rest = qp_slice_str(sign_in->scope);
    page_begin(page, "Allow access?");
    qp_buf_append_str(out, "<p><strong class=\"client\" id=\"client\">");
    put_text(out, client_id);
    qp_buf_append_str(out, "</strong> wants to use your account <strong id=\"user\">");
    put_html(out, sign_in->user->name);
    qp_buf_append_str(
        out, "</strong>.</p>\n<h2 id=\"may\">It will be able to</h2>\n<ul aria-labelledby=\"may\">\n");
    while (rest.at)
        put_scope(out, qp_slice_cut(&rest, ' '));
    qp_buf_append_str(out, "</ul>\n<p class=\"soft\">Either way you go back to <code>");
    put_html(out, place_of(sign_in->redirect_uri));
    qp_buf_append_str(out, "</code>. Allow it only if you began this there.</p>\n");
    form_begin(page, sign_in, "/oauth2/consent");
    qp_buf_append_str(
        out, "<div class=\"choice\"><button id=\"allow\" name=\"decision\" value=\"allow\">Allow</button>\n"
             "<button id=\"deny\" name=\"decision\" value=\"deny\" class=\"second\">Deny</button></div>\n"
             "</form>\n");
    page_end(page);
}

void si_page_fault(const struct si_page *page, const char *title, const char *text, const char *remedy)
{
    page_begin(page, title);
    qp_buf_append_str(page->out, "<p class=\"alert\" id=\"alert\" role=\"alert\">");
    put_text(page->out, text);
    qp_buf_append_str(page->out, "</p>\n<p class=\"soft\">");
    put_text(page->out, remedy);
    qp_buf_append_str(page->out, "</p>\n");
    page_end(page);
}
