/* Preloaded into a process: what changes files below one folder can fail there, or be its end.

   Built by nursery.py, which arms it. Operations are counted; from the nth on those of a class
   fail with an error number, as on a disk that is full or has become read-only, or a signal is
   raised at the nth. The wall clock can be moved. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

enum { GROWS = 1, CHANGES = 2 }; /* takes room on the disk; any other change */

static char folder[PATH_MAX];
static long count, nth;
static int classes, error_number, deadly, is_armed;
static long seconds_off;

void faults_arm(const char *below, long at, int which, int number, int signal_number) {
    snprintf(folder, sizeof folder, "%s", below);
    count = 0, nth = at, classes = which, error_number = number, deadly = signal_number;
    is_armed = 1;
}

long faults_count(void) { return count; }

void faults_clock(long seconds) { seconds_off += seconds; }

static void *real(const char *name) { return dlsym(RTLD_NEXT, name); }
#define REAL(name) static __typeof__(&name) next; if (!next) next = (__typeof__(&name))real(#name)

static int is_below(int at, const char *path) {
    char full[2 * PATH_MAX];
    full[0] = 0;
    if (path[0] != '/') {
        if (at == AT_FDCWD) {
            if (!getcwd(full, PATH_MAX)) return 0;
        } else {
            char link[64];
            snprintf(link, sizeof link, "/proc/self/fd/%d", at);
            ssize_t size = readlink(link, full, PATH_MAX - 1);
            if (size < 0) return 0;
            full[size] = 0;
        }
        strcat(full, "/");
    }
    strncat(full, path, PATH_MAX - 1);
    size_t size = strlen(folder);
    return !strncmp(full, folder, size) && (!full[size] || full[size] == '/');
}

/* Whether an operation is to fail; errno is set then. */
static int struck(int at, const char *path, int class) {
    int kept = errno;
    if (!is_armed || !path || !is_below(at, path)) { errno = kept; return 0; }
    errno = kept;
    count++;
    if (count < nth) return 0;
    if (deadly) {
        if (count == nth) kill(getpid(), deadly);
        return 0;
    }
    if (!(class & classes)) return 0;
    errno = error_number;
    return 1;
}

static int struck_file(int file, int class) {
    char link[64], path[PATH_MAX];
    int kept = errno;
    if (!is_armed) return 0;
    snprintf(link, sizeof link, "/proc/self/fd/%d", file);
    ssize_t size = readlink(link, path, sizeof path - 1);
    errno = kept;
    if (size < 0) return 0;
    path[size] = 0;
    return struck(AT_FDCWD, path, class);
}

static int struck_open(int at, const char *path, int flags) {
    if (!(flags & (O_WRONLY | O_RDWR | O_CREAT | O_TRUNC))) return 0;
    int makes = (flags & O_CREAT) && faccessat(at, path, F_OK, 0) != 0;
    return struck(at, path, makes ? GROWS | CHANGES : CHANGES);
}

#define OPEN(name)                                                      \
    int name(const char *path, int flags, ...) {                        \
        REAL(name);                                                     \
        va_list rest; va_start(rest, flags);                            \
        mode_t mode = va_arg(rest, mode_t); va_end(rest);               \
        return struck_open(AT_FDCWD, path, flags) ? -1 : next(path, flags, mode); \
    }
OPEN(open)
OPEN(open64)

#define OPENAT(name)                                                    \
    int name(int at, const char *path, int flags, ...) {                \
        REAL(name);                                                     \
        va_list rest; va_start(rest, flags);                            \
        mode_t mode = va_arg(rest, mode_t); va_end(rest);               \
        return struck_open(at, path, flags) ? -1 : next(at, path, flags, mode); \
    }
OPENAT(openat)
OPENAT(openat64)

static int flags_of(const char *mode) { return mode[0] == 'r' && !strchr(mode, '+') ? 0 : O_WRONLY | O_CREAT; }

FILE *fopen(const char *path, const char *mode) {
    REAL(fopen);
    return struck_open(AT_FDCWD, path, flags_of(mode)) ? NULL : next(path, mode);
}
FILE *fopen64(const char *path, const char *mode) {
    REAL(fopen64);
    return struck_open(AT_FDCWD, path, flags_of(mode)) ? NULL : next(path, mode);
}

/* The first write that finds the disk full still gets half of its bytes there. */
ssize_t write(int file, const void *bytes, size_t size) {
    REAL(write);
    long before = count;
    if (!struck_file(file, GROWS | CHANGES)) return next(file, bytes, size);
    if (error_number == ENOSPC && before + 1 == nth && size > 1) return next(file, bytes, size / 2);
    return -1;
}
ssize_t writev(int file, const struct iovec *parts, int number) {
    REAL(writev);
    return struck_file(file, GROWS | CHANGES) ? -1 : next(file, parts, number);
}
ssize_t pwrite64(int file, const void *bytes, size_t size, off64_t where) {
    REAL(pwrite64);
    return struck_file(file, GROWS | CHANGES) ? -1 : next(file, bytes, size, where);
}
ssize_t sendfile64(int out, int in, off64_t *where, size_t size) {
    REAL(sendfile64);
    return struck_file(out, GROWS | CHANGES) ? -1 : next(out, in, where, size);
}
ssize_t sendfile(int out, int in, off_t *where, size_t size) {
    REAL(sendfile);
    return struck_file(out, GROWS | CHANGES) ? -1 : next(out, in, where, size);
}
int fsync(int file) {
    REAL(fsync);
    return struck_file(file, 0) ? -1 : next(file);
}
int ftruncate64(int file, off64_t size) {
    REAL(ftruncate64);
    return struck_file(file, CHANGES) ? -1 : next(file, size);
}
int rename(const char *from, const char *to) {
    REAL(rename);
    return struck(AT_FDCWD, to, CHANGES) ? -1 : next(from, to);
}
int mkdir(const char *path, mode_t mode) {
    REAL(mkdir);
    int is_there = faccessat(AT_FDCWD, path, F_OK, 0) == 0;
    return !is_there && struck(AT_FDCWD, path, GROWS | CHANGES) ? -1 : next(path, mode);
}
int unlink(const char *path) {
    REAL(unlink);
    return struck(AT_FDCWD, path, CHANGES) ? -1 : next(path);
}
int unlinkat(int at, const char *path, int flags) {
    REAL(unlinkat);
    return struck(at, path, CHANGES) ? -1 : next(at, path, flags);
}
int rmdir(const char *path) {
    REAL(rmdir);
    return struck(AT_FDCWD, path, CHANGES) ? -1 : next(path);
}

int clock_gettime(clockid_t clock, struct timespec *now) {
    REAL(clock_gettime);
    int failed = next(clock, now);
    if (!failed && clock == CLOCK_REALTIME) now->tv_sec += seconds_off;
    return failed;
}
time_t time(time_t *where) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    if (where) *where = now.tv_sec;
    return now.tv_sec;
}
int gettimeofday(struct timeval *restrict now, void *restrict zone) {
    struct timespec exact;
    clock_gettime(CLOCK_REALTIME, &exact);
    now->tv_sec = exact.tv_sec, now->tv_usec = exact.tv_nsec / 1000;
    return (void)zone, 0;
}
