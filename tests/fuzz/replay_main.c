/* Runs a fuzz target over every file of the given folders, without libFuzzer: found once, tested for ever. */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerInitialize(int *argc, char ***argv);
/* A target that needs to prepare something defines it; most do not. */
__attribute__((weak)) int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    return 0;
}

static void fail(const char *path)
{
    perror(path);
    exit(1);
}

/* The input lies in a block of exactly its size, so that AddressSanitizer sees one byte too many. */
static void replay_file(const char *path, size_t size)
{
    FILE *file = fopen(path, "rb");
    uint8_t *data = malloc(size ? size : 1);
    if (!file || !data || fread(data, 1, size, file) != size)
        fail(path);
    fclose(file);
    fprintf(stderr, "%s\n", path); /* should it crash, this was the one */
    LLVMFuzzerTestOneInput(data, size);
    free(data);
}

/* A folder that does not exist (no regression yet) holds nothing. */
static unsigned replay(const char *path)
{
    struct stat status;
    if (stat(path, &status) != 0)
        return 0;
    if (S_ISREG(status.st_mode)) {
        replay_file(path, (size_t)status.st_size);
        return 1;
    }
    unsigned count = 0;
    DIR *folder = opendir(path);
    if (!folder)
        fail(path);
    for (struct dirent *entry; (entry = readdir(folder));) {
        if (entry->d_name[0] == '.')
            continue;
        char inner[4096];
        snprintf(inner, sizeof inner, "%s/%s", path, entry->d_name);
        count += replay(inner);
    }
    closedir(folder);
    return count;
}

int main(int argc, char **argv)
{
    LLVMFuzzerInitialize(&argc, &argv);
    unsigned count = 0;
    for (int i = 1; i < argc; i++)
        count += replay(argv[i]);
    printf("%u inputs replayed\n", count);
    if (count == 0) {
        fprintf(stderr, "a fuzz target without a corpus proves nothing\n");
        return 1;
    }
    return 0;
}
