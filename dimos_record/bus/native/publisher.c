#include "publisher.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/udp.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "assembler.h"

#define SHORT_MESSAGE_MAX 65499 /* name, its zero and data; LCM_SHORT_MESSAGE_MAX_SIZE */
#define FRAGMENT_MAX 65487      /* LCM_FRAGMENT_MAX_PAYLOAD */
#define BATCH 256
#define PARTS 3 /* of a packet: header, name, data */
#define MOST_SEGMENTS 64
#define MOST_SEGMENT_BYTES 65000
#ifndef UDP_SEGMENT
#define UDP_SEGMENT 103
#endif

typedef union {
    struct cmsghdr header; /* for its alignment */
    uint8_t bytes[CMSG_SPACE(sizeof(uint16_t))];
} Control;

/* Packets that wait to be sent together. */
typedef struct Batch {
    int count;
    uint8_t headers[BATCH][LCM_LONG_HEADER];
    struct iovec parts[BATCH * PARTS];
    size_t sizes[BATCH];
    struct mmsghdr runs[BATCH]; /* packets of one size, as the kernel takes them in */
    Control controls[BATCH];
} Batch;

static int open_socket(Publisher *self) {
    struct sockaddr *group = (struct sockaddr *)&self->group;
    int probe = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    int error = probe < 0 || connect(probe, group, sizeof self->group) < 0 ? errno : 0;
    if (probe >= 0) close(probe);
    if (error) return error;
    self->udp = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    unsigned char ttl = (unsigned char)self->ttl;
    int on = 1;
    struct ip_mreq membership = {.imr_multiaddr = self->group.sin_addr};
    if (self->udp < 0 ||
        setsockopt(self->udp, IPPROTO_IP, IP_MULTICAST_TTL, &ttl, sizeof ttl) < 0 ||
        setsockopt(self->udp, IPPROTO_IP, IP_MULTICAST_LOOP, &on, sizeof on) < 0 ||
        setsockopt(self->udp, IPPROTO_IP, IP_ADD_MEMBERSHIP, &membership, sizeof membership) < 0)
        return errno;
    return 0;
}

int publisher_open(Publisher *self, uint32_t address, uint16_t port, int ttl) {
    self->udp = -1;
    self->ttl = ttl;
    self->group = (struct sockaddr_in){
        .sin_family = AF_INET, .sin_addr.s_addr = address, .sin_port = port};
    self->longest_segment = MOST_SEGMENT_BYTES / 2;
    pthread_mutex_init(&self->lock, NULL);
    self->batch = malloc(sizeof *self->batch);
    if (!self->batch) return ENOMEM;
    self->batch->count = 0;
    return open_socket(self);
}

int publisher_reopen(Publisher *self) {
    pthread_mutex_init(&self->lock, NULL); /* a thread that is not here may have held it */
    self->batch->count = 0;
    self->number = 0;
    if (self->udp < 0) return 0;
    close(self->udp);
    self->udp = -1; /* the number may soon be another file's */
    return open_socket(self);
}

void publisher_close(Publisher *self) {
    pthread_mutex_lock(&self->lock);
    if (self->udp >= 0) close(self->udp);
    self->udp = -1;
    pthread_mutex_unlock(&self->lock);
}

void publisher_clear(Publisher *self) {
    free(self->batch);
    pthread_mutex_destroy(&self->lock);
}

/* --- packets that wait */

/* How many packets from one on the kernel can take as one piece and cut: all but the last of one
 * size. */
static int run_length(const Publisher *self, int first) {
    const Batch *batch = self->batch;
    size_t size = batch->sizes[first];
    int length = 1;
    if (size > self->longest_segment) return length;
    while (first + length < batch->count && batch->sizes[first + length] == size &&
           length < MOST_SEGMENTS && (size_t)(length + 1) * size <= MOST_SEGMENT_BYTES)
        length++;
    return length;
}

static void make_run(Publisher *self, int run, int first, int length) {
    Batch *batch = self->batch;
    struct msghdr *message = &batch->runs[run].msg_hdr;
    *message = (struct msghdr){
        .msg_name = &self->group,
        .msg_namelen = sizeof self->group,
        .msg_iov = &batch->parts[first * PARTS],
        .msg_iovlen = (size_t)length * PARTS,
    };
    if (length == 1) return;
    Control *control = &batch->controls[run];
    *control = (Control){.header = {.cmsg_len = CMSG_LEN(sizeof(uint16_t)),
                                    .cmsg_level = IPPROTO_UDP,
                                    .cmsg_type = UDP_SEGMENT}};
    uint16_t size = (uint16_t)batch->sizes[first];
    memcpy(CMSG_DATA(&control->header), &size, sizeof size);
    message->msg_control = control;
    message->msg_controllen = sizeof *control;
}

/* After an error: whether to try again with shorter runs, since the kernel refused to cut. */
static bool is_refusal(Publisher *self, int first, int error) {
    if (run_length(self, first) == 1) return false;
    if (error == EINVAL || error == EMSGSIZE) /* a packet has to fit into one of the interface's */
        self->longest_segment = self->batch->sizes[first] - 1;
    else if (error == EIO || error == EOPNOTSUPP || error == ENOPROTOOPT)
        self->longest_segment = 0;
    else
        return false;
    return true;
}

/* Send what waits; an errno, or 0. */
static int flush(Publisher *self) {
    Batch *batch = self->batch;
    int first = 0, error = 0;
    while (first < batch->count && !error) {
        int runs = 0;
        for (int at = first, length; at < batch->count; at += length) {
            length = run_length(self, at);
            make_run(self, runs++, at, length);
        }
        int sent = sendmmsg(self->udp, batch->runs, (unsigned)runs, 0);
        if (sent < 0 && errno != EINTR && !is_refusal(self, first, errno)) error = errno;
        for (int run = 0; run < sent; run++)
            first += (int)batch->runs[run].msg_hdr.msg_iovlen / PARTS;
    }
    batch->count = 0;
    return error;
}

static uint8_t *add_packet(Publisher *self, size_t header_size, const Outgoing *message,
                           bool is_first, size_t offset, size_t size) {
    Batch *batch = self->batch;
    int at = batch->count++;
    struct iovec *parts = &batch->parts[at * PARTS];
    size_t name_size = is_first ? message->name_size + 1 : 0;
    parts[0] = (struct iovec){batch->headers[at], header_size};
    parts[1] = (struct iovec){(char *)message->name, name_size};
    parts[2] = (struct iovec){(uint8_t *)message->data + offset, size};
    batch->sizes[at] = header_size + name_size + size;
    return batch->headers[at];
}

static void put_u32(uint8_t *place, uint32_t value) {
    value = htonl(value);
    memcpy(place, &value, sizeof value);
}

static void put_u16(uint8_t *place, size_t value) {
    place[0] = (uint8_t)(value >> 8);
    place[1] = (uint8_t)value;
}

static int add_short(Publisher *self, const Outgoing *message) {
    uint8_t *header = add_packet(self, LCM_SHORT_HEADER, message, true, 0, message->size);
    put_u32(header, LCM_MAGIC_SHORT);
    put_u32(header + 4, self->number++);
    return self->batch->count == BATCH ? flush(self) : 0;
}

static int add_fragments(Publisher *self, const Outgoing *message) {
    size_t whole = message->name_size + 1 + message->size;
    size_t fragments = (whole + FRAGMENT_MAX - 1) / FRAGMENT_MAX, offset = 0;
    uint32_t number = self->number++;
    int error = 0;
    for (size_t i = 0; i < fragments && !error; i++) {
        size_t room = i ? FRAGMENT_MAX : FRAGMENT_MAX - (message->name_size + 1);
        size_t left = message->size - offset, size = left < room ? left : room;
        uint8_t *header = add_packet(self, LCM_LONG_HEADER, message, i == 0, offset, size);
        put_u32(header, LCM_MAGIC_LONG);
        put_u32(header + 4, number);
        put_u32(header + 8, (uint32_t)message->size);
        put_u32(header + 12, (uint32_t)offset);
        put_u16(header + 16, i);
        put_u16(header + 18, fragments);
        offset += size;
        if (self->batch->count == BATCH) error = flush(self);
    }
    return error;
}

int publisher_send(Publisher *self, const Outgoing *messages, size_t count) {
    pthread_mutex_lock(&self->lock);
    int error = self->udp < 0 ? EBADF : 0;
    for (size_t i = 0; i < count && !error; i++) {
        bool is_short = messages[i].name_size + 1 + messages[i].size <= SHORT_MESSAGE_MAX;
        error = is_short ? add_short(self, &messages[i]) : add_fragments(self, &messages[i]);
    }
    if (!error) error = flush(self);
    pthread_mutex_unlock(&self->lock);
    return error;
}
