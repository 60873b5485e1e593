/* Plays an LCM event log as punctually as this machine can: the limit for players.
 *
 * It does nothing but wait, without ever sleeping, and send each message as LCM does. The log is in
 * memory before the first message is sent.
 *
 * Usage: busy_loop LOG GROUP PORT on-time|at-once
 */
#include <arpa/inet.h>
#include <endian.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#define FRAGMENT_BYTES 65487
#define SMALL_BYTES 65499

struct event { /* what is in front of channel and data in a log, big-endian */
    uint32_t sync;
    uint64_t number;
    uint64_t time_us;
    uint32_t channel_bytes, data_bytes;
} __attribute__((packed));

struct small {
    uint32_t magic, number;
} __attribute__((packed));

struct fragment {
    uint32_t magic, number, message_bytes, offset;
    uint16_t index, count;
} __attribute__((packed));

static void stop(const char *what) {
    perror(what);
    exit(1);
}

static int64_t now_ns(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return time.tv_sec * 1000000000LL + time.tv_nsec;
}

static void send_parts(int udp, struct iovec *parts, int count) {
    struct msghdr message = {.msg_iov = parts, .msg_iovlen = count};
    if (sendmsg(udp, &message, 0) < 0) stop("sendmsg");
}

static void send_message(int udp, uint32_t number, char *channel, size_t channel_bytes, char *data,
                         size_t data_bytes) {
    static char name[64];
    memcpy(name, channel, channel_bytes);
    name[channel_bytes++] = 0;
    size_t all = channel_bytes + data_bytes;
    if (all <= SMALL_BYTES) {
        struct small head = {htonl(0x4c433032), htonl(number)};
        struct iovec parts[] = {{&head, sizeof head}, {name, channel_bytes}, {data, data_bytes}};
        send_parts(udp, parts, 3);
        return;
    }
    uint16_t count = (all + FRAGMENT_BYTES - 1) / FRAGMENT_BYTES;
    size_t offset = 0;
    for (uint16_t index = 0; index < count; index++) {
        size_t room = FRAGMENT_BYTES - (index ? 0 : channel_bytes);
        size_t bytes = data_bytes - offset < room ? data_bytes - offset : room;
        struct fragment head = {htonl(0x4c433033), htonl(number), htonl(data_bytes), htonl(offset),
                                htons(index),      htons(count)};
        struct iovec parts[] = {
            {&head, sizeof head}, {name, index ? 0 : channel_bytes}, {data + offset, bytes}};
        send_parts(udp, parts, 3);
        offset += bytes;
    }
}

int main(int count, char **arguments) {
    if (count != 5) return 2;
    int file = open(arguments[1], O_RDONLY);
    struct stat status;
    if (file < 0 || fstat(file, &status)) stop(arguments[1]);
    char *log = malloc(status.st_size);
    for (off_t at = 0, got; at < status.st_size; at += got)
        if ((got = read(file, log + at, status.st_size - at)) <= 0) stop(arguments[1]);

    int udp = socket(AF_INET, SOCK_DGRAM, 0);
    unsigned char ttl = 0;
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(atoi(arguments[3]))};
    inet_aton(arguments[2], &to.sin_addr);
    if (setsockopt(udp, IPPROTO_IP, IP_MULTICAST_TTL, &ttl, sizeof ttl)) stop("ttl");
    if (connect(udp, (struct sockaddr *)&to, sizeof to)) stop("connect");

    int on_time = !strcmp(arguments[4], "on-time");
    int64_t start_ns = 0;
    uint32_t number = 0;
    for (char *at = log; at < log + status.st_size; number++) {
        struct event event;
        memcpy(&event, at, sizeof event);
        size_t channel_bytes = ntohl(event.channel_bytes), data_bytes = ntohl(event.data_bytes);
        int64_t recorded_ns = (int64_t)be64toh(event.time_us) * 1000;
        if (!number) start_ns = now_ns() - recorded_ns;
        while (on_time && now_ns() < start_ns + recorded_ns) {
        }
        at += sizeof event;
        send_message(udp, number, at, channel_bytes, at + channel_bytes, data_bytes);
        at += channel_bytes + data_bytes;
    }
    return 0;
}
