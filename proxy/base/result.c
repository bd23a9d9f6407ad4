#include "base/result.h"

const char *qp_result_text(enum qp_result result)
{
    switch (result) {
#define RESULT_TEXT(name, text) \
    case name:                  \
        return text;
        QP_RESULT_MAP(RESULT_TEXT)
#undef RESULT_TEXT
    }
    return "unknown result";
}

const char *qp_result_name(enum qp_result result)
{
    switch (result) {
#define RESULT_NAME(name, text) \
    case name:                  \
        return #name;
        QP_RESULT_MAP(RESULT_NAME)
#undef RESULT_NAME
    }
    return "QP_UNKNOWN";
}
