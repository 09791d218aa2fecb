/* Preloaded into a process: kills it at a moment that is counted by what it changes.
 *
 * Each call that may change a file, a folder or what was printed is a moment, before which the
 * process is killed. A write is a second one, at which half of it was written. The count is shared
 * with the process that forks, and so outlives the kill. What is written to mapped memory is not
 * seen.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

static long *moments, struck_at;

__attribute__((constructor)) static void begin(void)
{
    moments = mmap(NULL, sizeof *moments, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
}

/* Count from now on, and kill this process at the moment `at`, from 1 on; never if it is 0. */
void strike_at(long at)
{
    struck_at = at;
    *moments = 0;
}

long how_many_moments(void) { return *moments; }

static int comes(void) { return __atomic_add_fetch(moments, 1, __ATOMIC_SEQ_CST) == struck_at; }

static void moment(void)
{
    if (comes())
        kill(getpid(), SIGKILL);
}

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

#define CHANGES(type, name, declared, ...)  \
    type name declared                      \
    {                                       \
        moment();                           \
        return REAL(name)(__VA_ARGS__);     \
    }

CHANGES(int, fsync, (int fd), fd)
CHANGES(int, fdatasync, (int fd), fd)
CHANGES(int, ftruncate, (int fd, off_t size), fd, size)
CHANGES(int, ftruncate64, (int fd, off64_t size), fd, size)
CHANGES(int, rename, (const char *from, const char *to), from, to)
CHANGES(int, renameat, (int a, const char *from, int b, const char *to), a, from, b, to)
CHANGES(int, link, (const char *from, const char *to), from, to)
CHANGES(int, linkat, (int a, const char *from, int b, const char *to, int how), a, from, b, to, how)
CHANGES(int, unlink, (const char *path), path)
CHANGES(int, unlinkat, (int at, const char *path, int how), at, path, how)
CHANGES(int, mkdir, (const char *path, mode_t mode), path, mode)
CHANGES(int, chmod, (const char *path, mode_t mode), path, mode)
CHANGES(int, fchmod, (int fd, mode_t mode), fd, mode)
CHANGES(int, chown, (const char *path, uid_t user, gid_t group), path, user, group)

#define WRITES(name, declared, half, ...)   \
    ssize_t name declared                   \
    {                                       \
        moment();                           \
        if (size > 1 && comes()) {          \
            REAL(name) half;                \
            kill(getpid(), SIGKILL);        \
        }                                   \
        return REAL(name)(__VA_ARGS__);     \
    }

WRITES(write, (int fd, const void *bytes, size_t size), (fd, bytes, size / 2), fd, bytes, size)
WRITES(pwrite, (int fd, const void *bytes, size_t size, off_t at), (fd, bytes, size / 2, at), fd,
       bytes, size, at)
WRITES(pwrite64, (int fd, const void *bytes, size_t size, off64_t at), (fd, bytes, size / 2, at),
       fd, bytes, size, at)

/* To open a file is a moment if it may be made. */
#define OPENS(name, declared, ...)                      \
    int name declared                                   \
    {                                                   \
        mode_t mode = 0;                                \
        if (flags & (O_CREAT | O_TMPFILE)) {            \
            va_list rest;                               \
            va_start(rest, flags);                      \
            mode = va_arg(rest, mode_t);                \
            va_end(rest);                               \
            moment();                                   \
        }                                               \
        return REAL(name)(__VA_ARGS__, flags, mode);    \
    }

OPENS(open, (const char *path, int flags, ...), path)
OPENS(open64, (const char *path, int flags, ...), path)
OPENS(openat, (int at, const char *path, int flags, ...), at, path)
OPENS(openat64, (int at, const char *path, int flags, ...), at, path)
