/* The whole configuration of mbedTLS 3.6 for qproxy; it replaces mbedTLS's own, nothing is added to a default.
 * Every user of mbedTLS sees it (MBEDTLS_CONFIG_FILE is a public definition of the target): it shapes public structs. */
#ifndef QPROXY_MBEDTLS_CONFIG_H
#define QPROXY_MBEDTLS_CONFIG_H

/* --- the machine --- */
#define MBEDTLS_HAVE_ASM
#define MBEDTLS_AESNI_C
#if defined(__aarch64__)
#define MBEDTLS_AESCE_C
#endif
#define MBEDTLS_PLATFORM_C
#define MBEDTLS_PLATFORM_MEMORY /* its memory counts for limits.memory */
#define MBEDTLS_HAVE_TIME
#define MBEDTLS_HAVE_TIME_DATE /* certificates' dates are checked */
#define MBEDTLS_FS_IO          /* CA bundles, certificates, keys */
/* More than one thread does TLS: the PSA key store and generator (used by TLS 1.3) are global, so they need the locks. */
#define MBEDTLS_THREADING_C
#define MBEDTLS_THREADING_PTHREAD
/* A result that must be looked at is marked so: ignoring it warns. */
#define MBEDTLS_CHECK_RETURN_WARNING

/* --- TLS --- */
#define MBEDTLS_SSL_TLS_C
#define MBEDTLS_SSL_CLI_C
#define MBEDTLS_SSL_SRV_C
#define MBEDTLS_SSL_PROTO_TLS1_2
#define MBEDTLS_SSL_PROTO_TLS1_3
#define MBEDTLS_SSL_TLS1_3_COMPATIBILITY_MODE /* middleboxes on the way */
#define MBEDTLS_SSL_TLS1_3_KEY_EXCHANGE_MODE_EPHEMERAL_ENABLED
#define MBEDTLS_SSL_TLS1_3_KEY_EXCHANGE_MODE_PSK_EPHEMERAL_ENABLED /* resumption; psk_ke has no forward secrecy: off */
#define MBEDTLS_KEY_EXCHANGE_ECDHE_ECDSA_ENABLED                   /* TLS 1.2: no static RSA, no DHE */
#define MBEDTLS_KEY_EXCHANGE_ECDHE_RSA_ENABLED
#define MBEDTLS_SSL_SERVER_NAME_INDICATION
#define MBEDTLS_SSL_ALPN
#define MBEDTLS_SSL_EXTENDED_MASTER_SECRET
#define MBEDTLS_SSL_ALL_ALERT_MESSAGES
#define MBEDTLS_SSL_KEEP_PEER_CERTIFICATE /* TLS 1.3 demands it */
/* Resumption, both sides. The client must also turn on both mbedtls_ssl_conf_session_tickets() and, for 1.3,
 * mbedtls_ssl_conf_tls13_enable_signal_new_session_tickets(): off by default, and without it tickets are ignored. */
#define MBEDTLS_SSL_SESSION_TICKETS
#define MBEDTLS_SSL_TICKET_C
#define MBEDTLS_SSL_IN_CONTENT_LEN 16384
#define MBEDTLS_SSL_OUT_CONTENT_LEN 16384
#define MBEDTLS_SSL_CID_TLS1_3_PADDING_GRANULARITY 1 /* no padding of records */
/* Off: DTLS, renegotiation, early data (replayable), DEBUG_C, CBC suites, context serialization. */

/* --- certificates --- */
#define MBEDTLS_X509_USE_C
#define MBEDTLS_X509_CRT_PARSE_C
#define MBEDTLS_X509_RSASSA_PSS_SUPPORT
#define MBEDTLS_PK_C
#define MBEDTLS_PK_PARSE_C
#define MBEDTLS_PEM_PARSE_C
#define MBEDTLS_BASE64_C
#define MBEDTLS_ASN1_PARSE_C
#define MBEDTLS_ASN1_WRITE_C
#define MBEDTLS_OID_C

/* --- public keys --- */
#define MBEDTLS_BIGNUM_C
#define MBEDTLS_RSA_C
#define MBEDTLS_PKCS1_V15
#define MBEDTLS_PKCS1_V21
#define MBEDTLS_ECP_C
#define MBEDTLS_ECP_NIST_OPTIM
#define MBEDTLS_ECP_DP_SECP256R1_ENABLED
#define MBEDTLS_ECP_DP_SECP384R1_ENABLED
#define MBEDTLS_ECP_DP_SECP521R1_ENABLED
#define MBEDTLS_ECP_DP_CURVE25519_ENABLED
#define MBEDTLS_ECDH_C
#define MBEDTLS_ECDH_VARIANT_EVEREST_ENABLED /* verified x25519, five times faster than the stock one */
#define MBEDTLS_ECDSA_C
#define MBEDTLS_ECDSA_DETERMINISTIC

/* --- ciphers --- */
#define MBEDTLS_CIPHER_C
#define MBEDTLS_AES_C
#define MBEDTLS_AES_ROM_TABLES /* else they are made at first use, by whichever threads come first */
#define MBEDTLS_GCM_C
#define MBEDTLS_CHACHA20_C
#define MBEDTLS_POLY1305_C
#define MBEDTLS_CHACHAPOLY_C

/* --- hashes, keys from secrets, random numbers --- */
#define MBEDTLS_MD_C
#define MBEDTLS_SHA224_C
#define MBEDTLS_SHA256_C
#define MBEDTLS_SHA384_C
#define MBEDTLS_SHA512_C
/* Only to read roots that signed themselves with it (DigiCert's among them): without it they would not parse.
 * The default certificate profile still refuses SHA-1 in a chain. */
#define MBEDTLS_SHA1_C
#define MBEDTLS_HKDF_C
#define MBEDTLS_PKCS5_C /* PBKDF2 for the vault's passphrase */
#define MBEDTLS_HMAC_DRBG_C
#define MBEDTLS_CTR_DRBG_C
#define MBEDTLS_ENTROPY_C

/* --- PSA: TLS 1.3 is built on it. USE_PSA_CRYPTO stays off: it would cost a microsecond a record. --- */
#define MBEDTLS_PSA_CRYPTO_C
#define MBEDTLS_PSA_KEY_STORE_DYNAMIC /* else 32 handshakes at once are the limit */

/* --- words for people --- */
#define MBEDTLS_ERROR_C
#define MBEDTLS_VERSION_C

#endif
