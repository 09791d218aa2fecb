/* Records every change that a process makes to the files of one folder, and fails chosen calls.
 *
 * Preloaded into a process (LD_PRELOAD), it stands between SQLite and the C library. It does nothing
 * until campaign_begin() names the folder and the log. Each record of the log is a header, the name
 * of the file, and the data. One lock, across threads and processes, is held from before a call
 * until its record is written, so the log has the calls in the order in which they happened.
 *
 * The -shm file is left out: it does not outlive a power loss.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#define FILES_MAX 4096
#define FOLDER_NAME "."

struct header { /* Read by recording.py. */
    char magic[4];
    char kind;
    uint8_t failed;
    uint16_t name_length;
    uint32_t data_length;
    int64_t offset;
} __attribute__((packed));

static char folder[PATH_MAX];
static char log_path[PATH_MAX];
static int log_file = -1;
static pid_t log_owner;
static char *names[FILES_MAX];
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;

/* The fault: the n-th call of this kind on a name that ends so. */
static char fault_kind;
static char fault_suffix[64];
static char fault_action[16];
static int fault_first, fault_last, fault_calls;

#define REAL(type, name, ...)                                   \
    static type (*real)(__VA_ARGS__);                           \
    if (!real) real = (type(*)(__VA_ARGS__))dlsym(RTLD_NEXT, name)

static int real_open(const char *path, int flags, mode_t mode) {
    REAL(int, "open64", const char *, int, ...);
    return real(path, flags, mode);
}

static ssize_t real_pwrite(int file, const void *data, size_t length, off64_t offset) {
    REAL(ssize_t, "pwrite64", int, const void *, size_t, off64_t);
    return real(file, data, length, offset);
}

static void lock(void) {
    pthread_mutex_lock(&mutex);
    if (log_owner != getpid()) { /* A child needs a file description, and so a lock, of its own. */
        log_file = real_open(log_path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
        log_owner = getpid();
    }
    flock(log_file, LOCK_EX);
}

static void unlock(void) {
    int kept = errno;
    flock(log_file, LOCK_UN);
    errno = kept;
    pthread_mutex_unlock(&mutex);
}

static void record(char kind, int failed, const char *name, int64_t offset, const void *data,
                   size_t length) {
    int kept = errno;
    struct header header = {{'\xfe', 'R', 'E', 'C'}, kind, failed != 0, strlen(name), length, offset};
    struct iovec parts[] = {
        {&header, sizeof header}, {(void *)name, header.name_length}, {(void *)data, length}};
    if (writev(log_file, parts, 3) != (ssize_t)(sizeof header + header.name_length + length)) {
        static const char message[] = "recorder: the log could not be written\n";
        (void)!write(2, message, sizeof message - 1);
        _exit(97);
    }
    errno = kept;
}

/* Return the name of a path inside the folder, "." for the folder itself, else NULL. */
static const char *inside(const char *path) {
    size_t length = strlen(folder);
    if (!length || strncmp(path, folder, length)) return NULL;
    if (!path[length]) return FOLDER_NAME;
    if (path[length] != '/' || strchr(path + length + 1, '/')) return NULL;
    const char *name = path + length + 1;
    size_t end = strlen(name);
    return end > 4 && !strcmp(name + end - 4, "-shm") ? NULL : name;
}

static const char *name_of(int file) {
    return file >= 0 && file < FILES_MAX ? names[file] : NULL;
}

static int ends_with(const char *name, const char *suffix) {
    size_t length = strlen(name), end = strlen(suffix);
    return length >= end && !strcmp(name + length - end, suffix);
}

/* Return the action of the fault if it strikes this call, else "". Kills before the call itself. */
static const char *fault(char kind, const char *name) {
    if (fault_kind != kind || !ends_with(name, fault_suffix)) return "";
    fault_calls++;
    if (fault_calls < fault_first || fault_calls > fault_last) return "";
    record('X', 0, name, 0, fault_action, strlen(fault_action));
    if (!strcmp(fault_action, "kill-before")) kill(getpid(), SIGKILL);
    return fault_action;
}

static int fails(const char *action) {
    int error = !strcmp(action, "EIO")      ? EIO
                : !strcmp(action, "ENOSPC") ? ENOSPC
                : !strcmp(action, "EACCES") ? EACCES
                                            : 0;
    if (error) errno = error;
    return error;
}

static void after(const char *action) {
    if (!strcmp(action, "kill-after")) kill(getpid(), SIGKILL);
}

/* --- what the workload calls --- */

void campaign_begin(const char *its_folder, const char *its_log) {
    pthread_mutex_lock(&mutex);
    snprintf(folder, sizeof folder, "%s", its_folder);
    snprintf(log_path, sizeof log_path, "%s", its_log);
    log_owner = 0;
    pthread_mutex_unlock(&mutex);
}

void campaign_mark(const char *text) {
    lock();
    record('M', 0, "", 0, text, strlen(text));
    unlock();
}

void campaign_arm(char kind, const char *suffix, int first, int last, const char *action) {
    lock();
    fault_kind = kind;
    snprintf(fault_suffix, sizeof fault_suffix, "%s", suffix);
    snprintf(fault_action, sizeof fault_action, "%s", action);
    fault_first = first, fault_last = last, fault_calls = 0;
    unlock();
}

/* --- what SQLite and Python call --- */

static int opened(const char *path, int flags, mode_t mode) {
    const char *name = inside(path);
    if (!name) return real_open(path, flags, mode);
    lock();
    struct stat status;
    int is_new = (flags & O_CREAT) && stat(path, &status) != 0;
    const char *action = fault('O', name);
    int file = fails(action) ? -1 : real_open(path, flags, mode);
    if (file >= 0 && file < FILES_MAX) {
        int kept = errno;
        free(names[file]);
        names[file] = strdup(name);
        if (is_new) record('O', 0, name, 0, NULL, 0);
        else if (flags & O_TRUNC) record('T', 0, name, 0, NULL, 0);
        errno = kept;
    }
    after(action);
    unlock();
    return file;
}

#define OPENS(name)                                 \
    int name(const char *path, int flags, ...) {    \
        mode_t mode = 0;                            \
        if (flags & (O_CREAT | O_TMPFILE)) {        \
            va_list rest;                           \
            va_start(rest, flags);                  \
            mode = va_arg(rest, mode_t);            \
            va_end(rest);                           \
        }                                           \
        return opened(path, flags, mode);           \
    }
OPENS(open)
OPENS(open64)

#define OPENS_AT(name)                                                   \
    int name(int at, const char *path, int flags, ...) {                 \
        mode_t mode = 0;                                                 \
        if (flags & (O_CREAT | O_TMPFILE)) {                             \
            va_list rest;                                                \
            va_start(rest, flags);                                       \
            mode = va_arg(rest, mode_t);                                 \
            va_end(rest);                                                \
        }                                                                \
        if (at == AT_FDCWD || path[0] == '/') return opened(path, flags, mode); \
        REAL(int, "openat64", int, const char *, int, ...);              \
        return real(at, path, flags, mode);                              \
    }
OPENS_AT(openat)
OPENS_AT(openat64)

int close(int file) {
    REAL(int, "close", int);
    if (name_of(file)) {
        pthread_mutex_lock(&mutex);
        free(names[file]);
        names[file] = NULL;
        pthread_mutex_unlock(&mutex);
    }
    return real(file);
}

static ssize_t written(int file, const char *name, const void *data, size_t length, off64_t offset) {
    lock();
    const char *action = fault('W', name);
    ssize_t done;
    if (fails(action)) {
        done = -1;
    } else if (!strcmp(action, "short")) { /* Half of it, and the disk is full from there on. */
        done = real_pwrite(file, data, length / 2, offset);
        fault_last = fault_calls + 1;
        snprintf(fault_action, sizeof fault_action, "ENOSPC");
    } else {
        done = real_pwrite(file, data, length, offset);
    }
    if (done > 0) record('W', 0, name, offset, data, done);
    after(action);
    unlock();
    return done;
}

ssize_t pwrite64(int file, const void *data, size_t length, off64_t offset) {
    const char *name = name_of(file);
    return name ? written(file, name, data, length, offset)
                : real_pwrite(file, data, length, offset);
}

ssize_t pwrite(int file, const void *data, size_t length, off_t offset) {
    return pwrite64(file, data, length, offset);
}

ssize_t write(int file, const void *data, size_t length) {
    REAL(ssize_t, "write", int, const void *, size_t);
    const char *name = name_of(file);
    if (!name) return real(file, data, length);
    off64_t offset = lseek64(file, 0, SEEK_CUR);
    ssize_t done = written(file, name, data, length, offset);
    if (done > 0) lseek64(file, offset + done, SEEK_SET);
    return done;
}

static int synced(int file, const char *name, int (*real)(int)) {
    int is_folder = !strcmp(name, FOLDER_NAME);
    char kind = is_folder ? 'D' : 'S';
    lock();
    const char *action = fault(kind, name);
    int result = fails(action) ? -1 : real(file);
    record(kind, result, name, 0, NULL, 0);
    after(action);
    unlock();
    return result;
}

int fsync(int file) {
    REAL(int, "fsync", int);
    const char *name = name_of(file);
    return name ? synced(file, name, real) : real(file);
}

int fdatasync(int file) {
    REAL(int, "fdatasync", int);
    const char *name = name_of(file);
    return name ? synced(file, name, real) : real(file);
}

/* Reads change nothing, and are not recorded; but they may fail. */
ssize_t pread64(int file, void *data, size_t length, off64_t offset) {
    REAL(ssize_t, "pread64", int, void *, size_t, off64_t);
    const char *name = name_of(file);
    if (!name || fault_kind != 'P') return real(file, data, length, offset);
    lock();
    ssize_t done = fails(fault('P', name)) ? -1 : real(file, data, length, offset);
    unlock();
    return done;
}

ssize_t pread(int file, void *data, size_t length, off_t offset) {
    return pread64(file, data, length, offset);
}

int ftruncate64(int file, off64_t length) {
    REAL(int, "ftruncate64", int, off64_t);
    const char *name = name_of(file);
    if (!name) return real(file, length);
    lock();
    const char *action = fault('T', name);
    int result = fails(action) ? -1 : real(file, length);
    if (!result) record('T', 0, name, length, NULL, 0);
    after(action);
    unlock();
    return result;
}

int ftruncate(int file, off_t length) { return ftruncate64(file, length); }

int fallocate64(int file, int mode, off64_t offset, off64_t length) {
    if (name_of(file)) { /* Nobody here uses it: whoever begins to must teach images.py. */
        errno = EOPNOTSUPP;
        return -1;
    }
    REAL(int, "fallocate64", int, int, off64_t, off64_t);
    return real(file, mode, offset, length);
}

int fallocate(int file, int mode, off_t offset, off_t length) {
    return fallocate64(file, mode, offset, length);
}

int unlink(const char *path) {
    REAL(int, "unlink", const char *);
    const char *name = inside(path);
    if (!name) return real(path);
    lock();
    const char *action = fault('U', name);
    int result = fails(action) ? -1 : real(path);
    if (!result) record('U', 0, name, 0, NULL, 0);
    after(action);
    unlock();
    return result;
}

int rename(const char *from, const char *to) {
    REAL(int, "rename", const char *, const char *);
    const char *name = inside(from), *other = inside(to);
    if (!name || !other) return real(from, to);
    lock();
    int result = real(from, to);
    if (!result) record('R', 0, name, 0, other, strlen(other));
    unlock();
    return result;
}
