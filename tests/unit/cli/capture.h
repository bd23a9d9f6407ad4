/* capture.h - what is written to standard output and standard error while it runs. */
#ifndef QP_TESTS_CAPTURE_H
#define QP_TESTS_CAPTURE_H

void capture_begin(void);
void capture_end(void);
/* Of the last capture; valid until the next one. */
const char *captured_out(void);
const char *captured_err(void);

#endif
