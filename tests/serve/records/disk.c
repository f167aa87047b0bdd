/* A disk that is full, read-only or slow, for one program: loaded before its C library (LD_PRELOAD).
 *
 * The first byte of the file that DISK_MODE names says how the disk is at this moment: `n` well, `f` full, `r` read-only, `s` slow,
 * `h` hanging: what is to be brought to it waits until it is something else, `e` failing once: the next entries that are to be brought
 * to it are not.
 * It is about files below a directory `records` alone. A full disk takes a part of a write first, as a real one does. */

#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))
#define PARTLY 7

static const volatile char *told;

__attribute__((constructor)) static void begin(void) {
    int file = REAL(open)(getenv("DISK_MODE"), O_RDONLY);
    void *page = mmap(NULL, 1, PROT_READ, MAP_SHARED, file, 0);
    if (page == MAP_FAILED) abort();
    told = page;
    /* The program it is for, and no other one. */
    unsetenv("LD_PRELOAD");
}

static int is_ours(const char *path) { return strstr(path, "/records/") != NULL; }

static char mode_of(int file) {
    char link[64], path[4096];
    if (told == NULL || *told == 'n') return 'n';
    snprintf(link, sizeof link, "/proc/self/fd/%d", file);
    ssize_t length = readlink(link, path, sizeof path - 1);
    if (length < 0) return 'n';
    path[length] = 0;
    return is_ours(path) ? *told : 'n';
}

/* Whether it fails; then `errno` says why. */
static int fails(char mode) {
    if (mode == 'f') errno = ENOSPC;
    if (mode == 'r') errno = EROFS;
    return mode == 'f' || mode == 'r';
}

ssize_t write(int file, const void *bytes, size_t count) {
    static _Thread_local int had_a_part;
    char mode = mode_of(file);
    if (mode == 'f' && count > PARTLY && !had_a_part) {
        had_a_part = 1;
        return REAL(write)(file, bytes, PARTLY);
    }
    had_a_part = 0;
    return fails(mode) ? -1 : REAL(write)(file, bytes, count);
}

/* In place: a full disk takes it. */
ssize_t pwrite64(int file, const void *bytes, size_t count, off64_t at) {
    char mode = mode_of(file);
    return mode == 'r' && fails(mode) ? -1 : REAL(pwrite64)(file, bytes, count, at);
}

static int synced(int file, int (*sync)(int)) {
    char mode = mode_of(file);
    static volatile int has_failed;
    struct timespec moment = {0, 5 * 1000 * 1000};
    if (mode != 'e') has_failed = 0;
    while (mode == 'h' && *told == 'h') nanosleep(&moment, NULL);
    if (mode == 'e' && !has_failed) {
        has_failed = 1;
        errno = EIO;
        return -1;
    }
    if (mode == 's') {
        struct timespec pause = {0, 300 * 1000 * 1000};
        nanosleep(&pause, NULL);
    }
    return mode == 'r' && fails(mode) ? -1 : sync(file);
}

int fsync(int file) { return synced(file, REAL(fsync)); }
int fdatasync(int file) { return synced(file, REAL(fdatasync)); }

int open64(const char *path, int flags, ...) {
    va_list rest;
    va_start(rest, flags);
    mode_t permissions = flags & O_CREAT ? va_arg(rest, mode_t) : 0;
    va_end(rest);
    if (told != NULL && is_ours(path)) {
        int makes = (flags & O_CREAT) && access(path, F_OK) != 0;
        if (*told == 'f' && makes && fails('f')) return -1;
        if (*told == 'r' && (flags & (O_WRONLY | O_RDWR)) && fails('r')) return -1;
    }
    return REAL(open64)(path, flags, permissions);
}

int rename(const char *from, const char *to) {
    if (told != NULL && *told == 'r' && is_ours(to) && fails('r')) return -1;
    return REAL(rename)(from, to);
}

int unlink(const char *path) {
    if (told != NULL && *told == 'r' && is_ours(path) && fails('r')) return -1;
    return REAL(unlink)(path);
}
