/* Preloaded into a test's process: makes calls of the C library on some files fail, on demand. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static char failing_call[32], failing_file[64];
static int failing_errno, to_let_pass, to_fail, failed;

/* From now on let `pass` calls of `call` pass on files whose name ends in `file`, and then fail
   `times` of them. */
void arm(const char *call, const char *file, int error, int pass, int times)
{
    snprintf(failing_call, sizeof failing_call, "%s", call);
    snprintf(failing_file, sizeof failing_file, "%s", file);
    failing_errno = error;
    to_let_pass = pass;
    to_fail = times;
    failed = 0;
}

int how_many_failed(void) { return failed; }

static int fails(const char *call, int fd)
{
    char link[64], name[4096];
    ssize_t length;
    size_t end = strlen(failing_file);
    if (!to_fail || strcmp(call, failing_call))
        return 0;
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    length = readlink(link, name, sizeof name);
    if (length < (ssize_t)end || memcmp(name + length - end, failing_file, end))
        return 0;
    if (to_let_pass) {
        to_let_pass--;
        return 0;
    }
    to_fail--;
    failed++;
    errno = failing_errno;
    return 1;
}

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

int fsync(int fd) { return fails("sync", fd) ? -1 : REAL(fsync)(fd); }
int fdatasync(int fd) { return fails("sync", fd) ? -1 : REAL(fdatasync)(fd); }
ssize_t write(int fd, const void *bytes, size_t size)
{
    return fails("write", fd) ? -1 : REAL(write)(fd, bytes, size);
}
ssize_t pwrite(int fd, const void *bytes, size_t size, off_t at)
{
    return fails("write", fd) ? -1 : REAL(pwrite)(fd, bytes, size, at);
}
ssize_t pwrite64(int fd, const void *bytes, size_t size, off64_t at)
{
    return fails("write", fd) ? -1 : REAL(pwrite64)(fd, bytes, size, at);
}
int ftruncate(int fd, off_t size) { return fails("grow", fd) ? -1 : REAL(ftruncate)(fd, size); }
