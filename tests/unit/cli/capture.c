#include "capture.h"
#include <stdio.h>
#include <unistd.h>

enum { BYTES = 32768 };

static struct stream {
    int fd;
    int saved;
    FILE *file;
    char text[BYTES];
} streams[2] = {{.fd = STDOUT_FILENO}, {.fd = STDERR_FILENO}};

void capture_begin(void)
{
    fflush(NULL);
    for (int i = 0; i < 2; i++) {
        streams[i].file = tmpfile();
        streams[i].saved = dup(streams[i].fd);
        dup2(fileno(streams[i].file), streams[i].fd);
    }
}

void capture_end(void)
{
    fflush(stdout);
    fflush(stderr);
    for (int i = 0; i < 2; i++) {
        dup2(streams[i].saved, streams[i].fd);
        close(streams[i].saved);
        rewind(streams[i].file);
        streams[i].text[fread(streams[i].text, 1, BYTES - 1, streams[i].file)] = '\0';
        fclose(streams[i].file);
    }
}

const char *captured_out(void)
{
    return streams[0].text;
}

const char *captured_err(void)
{
    return streams[1].text;
}
