#include "net/memory.h"

#include "base/alloc.h"
#include "base/check.h"
#include <mbedtls/platform.h>
#include <uv.h>

void qp_net_count_memory(void)
{
    qp_require(uv_replace_allocator(qp_try_alloc, qp_try_realloc, qp_try_calloc, qp_free) == 0);
#ifdef MBEDTLS_PLATFORM_MEMORY /* a packager's library may do without */
    qp_require(mbedtls_platform_set_calloc_free(qp_try_calloc, qp_free) == 0);
#endif
}
