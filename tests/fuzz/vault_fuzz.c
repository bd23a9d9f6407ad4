/* A vault file. The first byte says what the rest is: a whole file, a header as a forger would make it (with a right check), or the document that
 * somebody with the key has sealed. */
#include "base/check.h"
#include "token/vault_impl.h"
#include <mbedtls/sha256.h>

static struct qp_vault_key *key(void)
{
    static struct qp_vault_key made;
    if (!made.bytes) {
        struct qp_secret *text =
            qp_secret_new(QP_SLICE("000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"));
        qp_vault_key_make(&(struct qp_vault_key_opts){.text = text}, &made);
        qp_secret_free(&text);
    }
    return &made;
}

static bool opens(struct qp_slice file, struct qp_buf *text)
{
    struct qp_vault_header header = {0};
    const char *why = NULL;
    enum qp_vault_outcome outcome = qp_vault_header_read(file, &header, &why);
    qp_require((outcome == QP_VAULT_CORRUPT) == (why != NULL));
    qp_require(outcome == QP_VAULT_OPEN || outcome == QP_VAULT_CORRUPT || outcome == QP_VAULT_TOO_NEW);
    return outcome == QP_VAULT_OPEN && qp_vault_unseal(key(), file, &header, text);
}

/* Nobody without the key makes a file that opens. */
static void take_file(struct qp_slice file)
{
    struct qp_buf text = {0};
    qp_require(!opens(file, &text));
    qp_buf_wipe(&text);
}

static void take_header(struct qp_slice file)
{
    unsigned char hash[32];
    struct qp_buf checked = {0};
    if (file.len < QP_VAULT_HEADER_BYTES)
        return;
    qp_buf_append(&checked, file);
    memcpy(checked.data, "QPVAULT\n", 8);
    qp_require(mbedtls_sha256((const unsigned char *)checked.data, 60, hash, 0) == 0);
    memcpy(checked.data + 60, hash, 4);
    take_file(qp_buf_slice(&checked));
    qp_buf_deinit(&checked);
}

/* What can be read is written so that it reads the same. */
static void take_document(struct qp_slice document)
{
    struct qp_list records;
    struct qp_list again;
    struct qp_buf first = {0};
    struct qp_buf second = {0};
    qp_list_init(&records);
    qp_list_init(&again);
    bool is_good = qp_vault_records_read(document, &records);
    qp_require(is_good || qp_list_is_empty(&records));
    qp_vault_records_write(&records, &first);
    qp_require(qp_vault_records_read(qp_buf_slice(&first), &again));
    qp_vault_records_write(&again, &second);
    qp_require(qp_slice_is(qp_buf_slice(&first), qp_buf_slice(&second)));
    qp_vault_records_free(&records);
    qp_vault_records_free(&again);
    qp_buf_wipe(&first);
    qp_buf_wipe(&second);
}

/* What is sealed opens as it was, and with any byte changed it does not. */
static void take_sealed(struct qp_slice document)
{
    struct qp_buf file = {0};
    struct qp_buf text = {0};
    unsigned char nonce[QP_VAULT_NONCE_BYTES];
    qp_vault_seal(key(), document, &file, nonce);
    qp_require(opens(qp_buf_slice(&file), &text) && qp_slice_is(qp_buf_slice(&text), document));
    size_t at = document.len * 31 % qp_buf_len(&file);
    file.data[at] = (char)(file.data[at] ^ (1 << document.len % 8));
    qp_buf_clear(&text);
    qp_require(!opens(qp_buf_slice(&file), &text));
    qp_buf_wipe(&text);
    qp_buf_deinit(&file);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static void (*const takers[])(struct qp_slice) = {take_file, take_header, take_document, take_sealed};
    if (size == 0)
        return 0;
    takers[data[0] % 4](qp_slice((const char *)data + 1, size - 1));
    qp_require(qp_secret_live_count() <= 1);
    return 0;
}
