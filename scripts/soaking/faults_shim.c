/* Preloaded into a recorder: lets its disk stall and its wall clock step.
 *
 * FAULTS_CONTROL names a file that holds two 64-bit integers, shared with who breaks things:
 * nanoseconds that are added to the wall clock, and whether writing to recordings waits. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

static volatile int64_t *control;

__attribute__((constructor)) static void open_control(void) {
    const char *path = getenv("FAULTS_CONTROL");
    int fd = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    if (fd < 0) return;
    void *page = mmap(NULL, 16, PROT_READ, MAP_SHARED, fd, 0);
    if (page != MAP_FAILED) control = page;
    close(fd);
}

static void wait_for_disk(int fd) {
    char link[64], path[4096];
    if (!control || !control[1]) return;
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, sizeof path - 1);
    if (length < 0) return;
    path[length] = 0;
    while (strstr(path, ".db") && control[1]) usleep(1000);
}

#define REAL(name) __typeof__(&name) real = (__typeof__(&name))dlsym(RTLD_NEXT, #name)

ssize_t pwrite64(int fd, const void *data, size_t size, off64_t at) {
    REAL(pwrite64);
    wait_for_disk(fd);
    return real(fd, data, size, at);
}

ssize_t pwrite(int fd, const void *data, size_t size, off_t at) {
    REAL(pwrite);
    wait_for_disk(fd);
    return real(fd, data, size, at);
}

int fsync(int fd) {
    REAL(fsync);
    wait_for_disk(fd);
    return real(fd);
}

int fdatasync(int fd) {
    REAL(fdatasync);
    wait_for_disk(fd);
    return real(fd);
}

int clock_gettime(clockid_t clock, struct timespec *time) {
    REAL(clock_gettime);
    int result = real(clock, time);
    if (!result && control && clock == CLOCK_REALTIME) {
        int64_t ns = time->tv_sec * 1000000000LL + time->tv_nsec + control[0];
        time->tv_sec = ns / 1000000000LL;
        time->tv_nsec = ns % 1000000000LL;
    }
    return result;
}
