/* Logs what a process does to the files of one folder, so that the disk can be rebuilt as a power
 * cut at any moment might leave it. To be preloaded (LD_PRELOAD); powerloss.py reads the log.
 *
 * POWERLOSS_FOLDER is the folder, POWERLOSS_LOG the file that the log goes to. A record is a
 * `struct head`, a path of `path_bytes` (two, with a 0 between them, where something is renamed)
 * and `size` bytes of data. Files are told apart by their inodes. What is written through a memory
 * map is not seen: SQLite does that only with the index of its log, which does not survive anyway.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

struct head {
    uint64_t kind; /* one of the letters below */
    uint64_t time_ns; /* CLOCK_MONOTONIC */
    uint64_t inode;
    uint64_t at; /* in the file; of a sync: its number */
    uint64_t size;
    uint64_t path_bytes;
};

enum {
    OPEN = 'O', /* at: whether it is a folder; size: what is in it */
    WRITE = 'W',
    TRUNCATE = 'T', /* at: the new size */
    RENAME = 'R',
    EXCHANGE = 'X',
    UNLINK = 'U',
    FOLDER = 'M',
    SYNC_BEGINS = 'B',
    SYNC_ENDS = 'E',
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static int log_fd = -1;
static char folder[PATH_MAX];
static dev_t device;
static uint64_t syncs;

#define REAL(type, name, ...) \
    static type (*real_##name)(__VA_ARGS__); \
    if (!real_##name) real_##name = (type (*)(__VA_ARGS__))dlsym(RTLD_NEXT, #name)

__attribute__((constructor)) static void begin(void) {
    const char *where = getenv("POWERLOSS_FOLDER"), *log = getenv("POWERLOSS_LOG");
    struct stat found;
    if (!where || !log || !realpath(where, folder) || stat(folder, &found)) return;
    device = found.st_dev;
    REAL(int, open, const char *, int, ...);
    int fd = real_open(log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
    log_fd = fcntl(fd, F_DUPFD_CLOEXEC, 900); /* where nobody looks for it */
    REAL(int, close, int);
    real_close(fd);
}

/* An absolute path, in `into`; whether it is in the folder, or the folder itself. */
static int is_ours(const char *path, char *into) {
    if (log_fd < 0 || !path) return 0;
    if (path[0] == '/') {
        if (strlen(path) >= PATH_MAX) return 0;
        strcpy(into, path);
    } else {
        char here[PATH_MAX];
        if (!getcwd(here, sizeof here)) return 0;
        if (snprintf(into, PATH_MAX, "%s/%s", here, path) >= PATH_MAX) return 0;
    }
    size_t length = strlen(folder);
    return !strncmp(into, folder, length) && (into[length] == '/' || !into[length]);
}

static void note(int kind, uint64_t inode, uint64_t at, uint64_t size, const void *data,
                 const char *path, uint64_t path_bytes) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    struct head head = {kind, now.tv_sec * 1000000000ull + now.tv_nsec, inode, at, size, path_bytes};
    struct iovec parts[3] = {
        {&head, sizeof head}, {(void *)path, path_bytes}, {(void *)data, data ? size : 0}};
    REAL(ssize_t, writev, int, const struct iovec *, int);
    size_t wanted = sizeof head + path_bytes + (data ? size : 0);
    if (real_writev(log_fd, parts, 3) != (ssize_t)wanted) abort(); /* a log with holes is none */
}

/* The inode of an open file that may be in the folder; 0 of any other. */
static uint64_t inode_of(int fd, struct stat *found) {
    if (log_fd < 0 || fstat(fd, found) || found->st_dev != device) return 0;
    return S_ISREG(found->st_mode) || S_ISDIR(found->st_mode) ? found->st_ino : 0;
}

static int note_open(int fd, const char *path, int flags) {
    char full[PATH_MAX];
    struct stat found;
    if (fd >= 0 && (flags & O_TMPFILE) != O_TMPFILE && is_ours(path, full) && inode_of(fd, &found))
        note(OPEN, found.st_ino, S_ISDIR(found.st_mode), found.st_size, NULL, full, strlen(full));
    return fd;
}

#define OPENS(name) \
    int name(const char *path, int flags, ...) { \
        REAL(int, name, const char *, int, ...); \
        va_list rest; \
        va_start(rest, flags); \
        mode_t mode = va_arg(rest, mode_t); \
        va_end(rest); \
        pthread_mutex_lock(&lock); \
        int fd = note_open(real_##name(path, flags, mode), path, flags); \
        pthread_mutex_unlock(&lock); \
        return fd; \
    }
OPENS(open)
OPENS(open64)

#define OPENS_AT(name) \
    int name(int base, const char *path, int flags, ...) { \
        REAL(int, name, int, const char *, int, ...); \
        va_list rest; \
        va_start(rest, flags); \
        mode_t mode = va_arg(rest, mode_t); \
        va_end(rest); \
        pthread_mutex_lock(&lock); \
        int fd = note_open(real_##name(base, path, flags, mode), path, flags); \
        pthread_mutex_unlock(&lock); \
        return fd; \
    }
OPENS_AT(openat)
OPENS_AT(openat64)

#define WRITES_AT(name) \
    ssize_t name(int fd, const void *data, size_t size, off_t at) { \
        REAL(ssize_t, name, int, const void *, size_t, off_t); \
        struct stat found; \
        pthread_mutex_lock(&lock); \
        ssize_t done = real_##name(fd, data, size, at); \
        if (done > 0 && inode_of(fd, &found)) note(WRITE, found.st_ino, at, done, data, "", 0); \
        pthread_mutex_unlock(&lock); \
        return done; \
    }
WRITES_AT(pwrite)
WRITES_AT(pwrite64)

ssize_t write(int fd, const void *data, size_t size) {
    REAL(ssize_t, write, int, const void *, size_t);
    struct stat found;
    if (!inode_of(fd, &found)) return real_write(fd, data, size);
    pthread_mutex_lock(&lock);
    ssize_t done = real_write(fd, data, size);
    if (done > 0) {
        off_t after = lseek(fd, 0, SEEK_CUR);
        note(WRITE, found.st_ino, after - done, done, data, "", 0);
    }
    pthread_mutex_unlock(&lock);
    return done;
}

#define TRUNCATES(name) \
    int name(int fd, off_t size) { \
        REAL(int, name, int, off_t); \
        struct stat found; \
        pthread_mutex_lock(&lock); \
        int failed = real_##name(fd, size); \
        if (!failed && inode_of(fd, &found)) note(TRUNCATE, found.st_ino, size, 0, NULL, "", 0); \
        pthread_mutex_unlock(&lock); \
        return failed; \
    }
TRUNCATES(ftruncate)
TRUNCATES(ftruncate64)

#define SYNCS(name) \
    int name(int fd) { \
        REAL(int, name, int); \
        struct stat found; \
        uint64_t inode = inode_of(fd, &found), number = 0; \
        if (inode) { \
            pthread_mutex_lock(&lock); \
            number = ++syncs; \
            note(SYNC_BEGINS, inode, number, 0, NULL, "", 0); \
            pthread_mutex_unlock(&lock); \
        } \
        int failed = real_##name(fd); \
        if (inode && !failed) { \
            pthread_mutex_lock(&lock); \
            note(SYNC_ENDS, inode, number, 0, NULL, "", 0); \
            pthread_mutex_unlock(&lock); \
        } \
        return failed; \
    }
SYNCS(fsync)
SYNCS(fdatasync)

static void note_path(int kind, const char *path) {
    char full[PATH_MAX];
    if (is_ours(path, full)) note(kind, 0, 0, 0, NULL, full, strlen(full));
}

#define CHANGES_NAME(name, kind, parameters, ...) \
    int name parameters { \
        static int(*real) parameters; \
        if (!real) real = (int(*) parameters)dlsym(RTLD_NEXT, #name); \
        pthread_mutex_lock(&lock); \
        int failed = real(__VA_ARGS__); \
        if (!failed) note_path(kind, path); \
        pthread_mutex_unlock(&lock); \
        return failed; \
    }
CHANGES_NAME(unlink, UNLINK, (const char *path), path)
CHANGES_NAME(rmdir, UNLINK, (const char *path), path)
CHANGES_NAME(unlinkat, UNLINK, (int base, const char *path, int flags), base, path, flags)
CHANGES_NAME(mkdir, FOLDER, (const char *path, mode_t mode), path, mode)

static void note_rename(int kind, const char *from, const char *to) {
    char both[2 * PATH_MAX], into[PATH_MAX];
    if (!is_ours(from, both) || !is_ours(to, into)) return;
    size_t length = strlen(both) + 1;
    strcpy(both + length, into);
    note(kind, 0, 0, 0, NULL, both, length + strlen(into));
}

int rename(const char *from, const char *to) {
    REAL(int, rename, const char *, const char *);
    pthread_mutex_lock(&lock);
    int failed = real_rename(from, to);
    if (!failed) note_rename(RENAME, from, to);
    pthread_mutex_unlock(&lock);
    return failed;
}

int renameat2(int a, const char *from, int b, const char *to, unsigned flags) {
    REAL(int, renameat2, int, const char *, int, const char *, unsigned);
    pthread_mutex_lock(&lock);
    int failed = real_renameat2(a, from, b, to, flags);
    if (!failed) note_rename(flags & 2 /* RENAME_EXCHANGE */ ? EXCHANGE : RENAME, from, to);
    pthread_mutex_unlock(&lock);
    return failed;
}
