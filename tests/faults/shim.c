/* Injects file system faults, by path and count, into a process that is started with this library in LD_PRELOAD.
 *
 * FAULT_RULES has rules separated by ';', each `call,path,what,skip,count`:
 *   call   fsync, open, write, mkdir or fork
 *   path   a part of the file's path; empty for every file
 *   what   an errno number, or `sleep=MILLISECONDS`, after which the call is made as usual
 *   skip   how many calls succeed first
 *   count  how many calls are affected then; -1 for all
 * FAULT_WHILE, if set, names a file: the rules apply only while it exists.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <time.h>
#include <unistd.h>

#define MOST 16

struct rule { char call[16]; char path[128]; int error; long sleep_ms; atomic_long skip; atomic_long count; };

static struct rule rules[MOST];
static int rule_count;

__attribute__((constructor)) static void read_rules(void) {
    const char *text = getenv("FAULT_RULES");
    if (!text) return;
    char *copy = strdup(text), *rest = copy, *one;
    while ((one = strsep(&rest, ";")) && rule_count < MOST) {
        struct rule *rule = &rules[rule_count];
        char *part[5] = {0};
        for (int i = 0; i < 5; i++) part[i] = strsep(&one, ",");
        if (!part[4]) continue;
        snprintf(rule->call, sizeof rule->call, "%s", part[0]);
        snprintf(rule->path, sizeof rule->path, "%s", part[1]);
        if (!strncmp(part[2], "sleep=", 6)) rule->sleep_ms = atol(part[2] + 6);
        else rule->error = atoi(part[2]);
        rule->skip = atol(part[3]);
        rule->count = atol(part[4]);
        rule_count++;
    }
    free(copy);
}

/* Return the errno with which this call must fail, or 0. */
static int fault(const char *call, const char *path) {
    for (int i = 0; i < rule_count; i++) {
        struct rule *rule = &rules[i];
        if (strcmp(rule->call, call) || !strstr(path, rule->path)) continue;
        const char *gate = getenv("FAULT_WHILE");
        if (gate && syscall(SYS_faccessat, AT_FDCWD, gate, F_OK)) continue;
        if (atomic_fetch_sub(&rule->skip, 1) > 0) continue;
        long left = atomic_load(&rule->count);
        if (left == 0) continue;
        if (left > 0) atomic_fetch_sub(&rule->count, 1);
        if (rule->sleep_ms) {
            struct timespec wait = {rule->sleep_ms / 1000, rule->sleep_ms % 1000 * 1000000};
            while (nanosleep(&wait, &wait) && errno == EINTR) {}
            continue;
        }
        return rule->error;
    }
    return 0;
}

static int fault_of(const char *call, int descriptor) {
    char link[64], path[4096];
    snprintf(link, sizeof link, "/proc/self/fd/%d", descriptor);
    ssize_t length = readlink(link, path, sizeof path - 1);
    path[length < 0 ? 0 : length] = 0;
    return fault(call, path);
}

#define FAIL_IF(found) do { int error_ = (found); if (error_) { errno = error_; return -1; } } while (0)
#define REAL(name, type) ((type)dlsym(RTLD_NEXT, name))

int fsync(int fd) { FAIL_IF(fault_of("fsync", fd)); return REAL("fsync", int (*)(int))(fd); }
int fdatasync(int fd) { FAIL_IF(fault_of("fsync", fd)); return REAL("fdatasync", int (*)(int))(fd); }

static mode_t mode_of(int flags, va_list more) {
    return flags & (O_CREAT | O_TMPFILE) ? va_arg(more, mode_t) : 0;
}

#define OPEN(name)                                                                     \
    int name(const char *path, int flags, ...) {                                       \
        va_list more; va_start(more, flags);                                           \
        mode_t mode = mode_of(flags, more); va_end(more);                              \
        FAIL_IF(fault("open", path));                                                  \
        return REAL(#name, int (*)(const char *, int, ...))(path, flags, mode);        \
    }
OPEN(open)
OPEN(open64)

#define OPENAT(name)                                                                   \
    int name(int at, const char *path, int flags, ...) {                               \
        va_list more; va_start(more, flags);                                           \
        mode_t mode = mode_of(flags, more); va_end(more);                              \
        FAIL_IF(fault("open", path));                                                  \
        return REAL(#name, int (*)(int, const char *, int, ...))(at, path, flags, mode); \
    }
OPENAT(openat)
OPENAT(openat64)

ssize_t write(int fd, const void *data, size_t size) {
    FAIL_IF(fault_of("write", fd));
    return REAL("write", ssize_t (*)(int, const void *, size_t))(fd, data, size);
}
ssize_t pwrite(int fd, const void *data, size_t size, off_t at) {
    FAIL_IF(fault_of("write", fd));
    return REAL("pwrite", ssize_t (*)(int, const void *, size_t, off_t))(fd, data, size, at);
}
ssize_t pwrite64(int fd, const void *data, size_t size, off64_t at) {
    FAIL_IF(fault_of("write", fd));
    return REAL("pwrite64", ssize_t (*)(int, const void *, size_t, off64_t))(fd, data, size, at);
}
int mkdir(const char *path, mode_t mode) {
    FAIL_IF(fault("mkdir", path));
    return REAL("mkdir", int (*)(const char *, mode_t))(path, mode);
}
pid_t fork(void) { FAIL_IF(fault("fork", "")); return REAL("fork", pid_t (*)(void))(); }
