#include "cmocka_all.h"
#include "token/digest.h"

static void a_verifiers_challenge_is_that_of_RFC_7636(void **state)
{
    char text[QP_DIGEST_TEXT_BYTES];
    qp_sha256_text(QP_SLICE("dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"), text);
    assert_string_equal(text, "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM");
}

static void hashes_of_nothing_and_of_little_are_those_of_FIPS_180(void **state)
{
    char text[QP_DIGEST_TEXT_BYTES];
    qp_sha256_text(QP_SLICE_NONE, text);
    assert_string_equal(text, "47DEQpj8HBSa-_TImW-5JCeuQeRkm5NMpJWZG3hSuFU");
    qp_sha256_text(QP_SLICE("abc"), text);
    assert_string_equal(text, "ungWv48Bz-pBQUDeXa4iI7ADYaOWF3qctBD_YfIAFa0");
}

static struct qp_slice bytes_of(char *room, char byte, size_t len)
{
    memset(room, byte, len);
    return qp_slice(room, len);
}

/* Its case 5 is of a code cut short, which we never do. */
static void codes_are_those_of_RFC_4231(void **state)
{
    char rising[25];
    for (size_t i = 0; i < sizeof(rising); i++)
        rising[i] = (char)(i + 1);
    char key1[20];
    char key3[20];
    char data3[50];
    char data4[50];
    char key6[131];
    const struct {
        struct qp_slice key;
        struct qp_slice in;
        const char *code;
    } rows[] = {
        {bytes_of(key1, 0x0b, 20), QP_SLICE("Hi There"), "sDRMYdjbOFNcqK_OrwvxK4gdwgDJgz2nJuk3bC4yz_c"},
        {QP_SLICE("Jefe"), QP_SLICE("what do ya want for nothing?"),
         "W9zBRr9gdU5qBCQmCJV1x1oAPwidJzmDnexYuWTsOEM"},
        {bytes_of(key3, (char)0xaa, 20), bytes_of(data3, (char)0xdd, 50),
         "dz6pHjaADkaFTbjr0JGBpylZCYs--MEi2WNVFM7VZf4"},
        {qp_slice(rising, sizeof(rising)), bytes_of(data4, (char)0xcd, 50),
         "glWKOJpEPA6kzIGYmfIIOoXw-qPlePgHei4_9GcpZls"},
        {bytes_of(key6, (char)0xaa, 131), QP_SLICE("Test Using Larger Than Block-Size Key - Hash Key First"),
         "YOQxWR7gtn8Niiaqy_W3f44LxiE3KMUUBUYEDw7jf1Q"},
        {bytes_of(key6, (char)0xaa, 131),
         QP_SLICE("This is a test using a larger than block-size key and a larger than block-size data. The "
                  "key needs to be hashed before being used by the HMAC algorithm."),
         "mwn_pxuUL8snY1-81bDpRL_cY2RPBxOTin9RU1w6NeI"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        char code[QP_DIGEST_TEXT_BYTES];
        qp_hmac_text(rows[i].key, rows[i].in, code);
        assert_string_equal(code, rows[i].code);
    }
}

static void random_texts_are_of_the_alphabet_and_differ(void **state)
{
    enum { COUNT = 256 };
    static char texts[COUNT][QP_DIGEST_TEXT_BYTES];
    static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    bool seen[128] = {false};
    for (size_t i = 0; i < COUNT; i++) {
        qp_random_text(texts[i]);
        assert_int_equal(strlen(texts[i]), QP_DIGEST_TEXT_BYTES - 1);
        assert_int_equal(strspn(texts[i], alphabet), QP_DIGEST_TEXT_BYTES - 1);
        for (size_t j = 0; j < i; j++)
            assert_string_not_equal(texts[i], texts[j]);
        for (const char *c = texts[i]; *c; c++)
            seen[(unsigned char)*c] = true;
    }
    for (const char *c = alphabet; *c; c++)
        assert_true(seen[(unsigned char)*c]);
}

static void texts_are_equal_when_all_of_them_is(void **state)
{
    assert_true(qp_text_is_equal_secretly(QP_SLICE("state"), QP_SLICE("state")));
    assert_false(qp_text_is_equal_secretly(QP_SLICE("state"), QP_SLICE("statf")));
    assert_false(qp_text_is_equal_secretly(QP_SLICE("state"), QP_SLICE("rtate")));
    assert_false(qp_text_is_equal_secretly(QP_SLICE("state"), QP_SLICE("state1")));
    assert_false(qp_text_is_equal_secretly(QP_SLICE("state"), QP_SLICE_NONE));
    assert_true(qp_text_is_equal_secretly(QP_SLICE(""), QP_SLICE_NONE));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_verifiers_challenge_is_that_of_RFC_7636),
        cmocka_unit_test(hashes_of_nothing_and_of_little_are_those_of_FIPS_180),
        cmocka_unit_test(codes_are_those_of_RFC_4231),
        cmocka_unit_test(random_texts_are_of_the_alphabet_and_differ),
        cmocka_unit_test(texts_are_equal_when_all_of_them_is),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
