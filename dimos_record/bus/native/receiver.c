#include "receiver.h"

#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define BATCH 64
#define LARGEST_PACKET 65536
#define STRIDE (LARGEST_PACKET + 192) /* small packets would meet in the same lines of the cache */
#define STACK_BYTES (256 * 1024)
#define SOFTIRQ_NS 1000000 /* a packet that was sent is no longer on its way to its sockets then */
#define RETRY_MS 10
#define BULKY 8192 /* larger packets are better read while the processor's cache still has them */
#define GATHER_NS 10000000 /* so old a message becomes while others gather behind it ... */
#define GATHER_BYTES (4 << 20) /* ... unless there are so many */
#define SK_DROPS 8 /* index in what SO_MEMINFO tells; the kernel's SK_MEMINFO_DROPS */
#ifndef SO_MEMINFO
#define SO_MEMINFO 55
#endif

typedef union {
    struct cmsghdr header; /* for its alignment */
    uint8_t bytes[CMSG_SPACE(sizeof(struct timespec)) + CMSG_SPACE(sizeof(uint32_t))];
} Control;

typedef struct Packets {
    struct mmsghdr messages[BATCH];
    struct iovec data[BATCH];
    struct sockaddr_in from[BATCH];
    Control control[BATCH];
    _Alignas(64) uint8_t bytes[BATCH * STRIDE];
} Packets;

static void prepare(Packets *packets, int count) {
    for (int i = 0; i < count; i++) {
        packets->data[i] = (struct iovec){packets->bytes + i * STRIDE, LARGEST_PACKET};
        packets->messages[i].msg_hdr = (struct msghdr){
            .msg_name = &packets->from[i],
            .msg_namelen = sizeof packets->from[i],
            .msg_iov = &packets->data[i],
            .msg_iovlen = 1,
            .msg_control = &packets->control[i],
            .msg_controllen = sizeof packets->control[i],
        };
    }
}

/* --- the thread */

/* When a packet arrived, by the wall clock; 0 if the kernel did not say. */
static int64_t read_control(Receiver *self, struct msghdr *message) {
    int64_t stamp_ns = 0;
    for (struct cmsghdr *c = CMSG_FIRSTHDR(message); c; c = CMSG_NXTHDR(message, c)) {
        if (c->cmsg_level != SOL_SOCKET) continue;
        if (c->cmsg_type == SCM_TIMESTAMPNS) {
            struct timespec stamp;
            memcpy(&stamp, CMSG_DATA(c), sizeof stamp);
            stamp_ns = (int64_t)stamp.tv_sec * 1000000000 + stamp.tv_nsec;
        } else if (c->cmsg_type == SO_RXQ_OVFL) {
            memcpy(&self->drops, CMSG_DATA(c), sizeof self->drops);
        }
    }
    return stamp_ns;
}

static void feed(Receiver *self, int count) {
    Packets *packets = self->packets;
    for (int i = 0; i < count; i++) {
        struct mmsghdr *message = &packets->messages[i];
        self->usual_size += ((int)message->msg_len - self->usual_size) / 8;
        int64_t arrival_ns = clock_arrival(&self->clock, read_control(self, &message->msg_hdr));
        assembler_feed(&self->assembler, packets->bytes + i * STRIDE, message->msg_len,
                       packets->from[i].sin_addr.s_addr, packets->from[i].sin_port, arrival_ns);
    }
}

/* How many packets were read; -1 on an error that will not pass. */
static int read_packets(Receiver *self, bool *is_empty) {
    int count = recvmmsg(self->udp, self->packets->messages, BATCH, MSG_DONTWAIT, NULL);
    *is_empty = count < 0 ? errno == EAGAIN : count < BATCH;
    if (count >= 0) return count;
    if (errno == ENOMEM || errno == ENOBUFS) poll(NULL, 0, RETRY_MS);
    bool will_pass = errno == EAGAIN || errno == EINTR || errno == ENOMEM || errno == ENOBUFS;
    return will_pass ? 0 : -1;
}

/* Whether whoever takes messages should not wait for more. */
static bool has_enough(const Receiver *self) {
    const Queue *queue = &self->assembler.queue;
    return queue->head &&
           (!self->patience_ns || queue->bytes >= GATHER_BYTES || queue_is_full(queue));
}

/* Read once; false at the end. `is_empty` tells whether nothing more waits in the kernel. */
static bool read_once(Receiver *self, bool *is_empty) {
    pthread_mutex_lock(&self->lock);
    uint64_t marks = self->marks;
    int64_t settled_ns = self->mark_ns + SOFTIRQ_NS;
    bool stop = self->stop;
    pthread_mutex_unlock(&self->lock);
    if (stop) return false;
    bool is_settled = clock_monotonic() >= settled_ns;
    int count = read_packets(self, is_empty), error = count < 0 ? errno : 0;
    clock_look(&self->clock);
    pthread_mutex_lock(&self->lock);
    bool was_empty = !self->assembler.queue.head;
    feed(self, count);
    bool is_past_mark = (*is_empty && is_settled) ||
                        (self->clock.is_stamped && self->clock.last_ns > settled_ns);
    bool passed = is_past_mark && marks > self->marks_passed;
    if (passed) {
        self->marks_passed = marks;
        self->mark_position = self->assembler.queue.appended;
    }
    self->error = error;
    self->is_interrupted |= passed || error;
    if ((was_empty && self->assembler.queue.head) || has_enough(self) || self->is_interrupted)
        pthread_cond_signal(&self->news);
    pthread_mutex_unlock(&self->lock);
    if (count > 0) prepare(self->packets, count);
    if (*is_empty) clock_caught_up(&self->clock);
    return !error;
}

/* Wait for a packet, and for more to gather behind it; not if something is wanted meanwhile. */
static void await_packets(Receiver *self) {
    struct pollfd wake = {.fd = self->wake, .events = POLLIN};
    struct pollfd both[] = {wake, {.fd = self->udp, .events = POLLIN}};
    poll(both, 2, -1);
    struct timespec patience = {.tv_nsec = self->usual_size > BULKY ? 0 : self->patience_ns};
    if (both[0].revents || (patience.tv_nsec && ppoll(&wake, 1, &patience, NULL) > 0)) {
        uint64_t count;
        ssize_t unused = read(self->wake, &count, sizeof count);
        (void)unused;
        /* Until then a read says nothing about a mark. */
        nanosleep(&(struct timespec){.tv_nsec = SOFTIRQ_NS}, NULL);
    }
}

static void *run(void *receiver) {
    Receiver *self = receiver;
    bool is_empty = false;
    while (read_once(self, &is_empty))
        if (is_empty) await_packets(self);
    return NULL;
}

static void wake_thread(Receiver *self) {
    uint64_t one = 1;
    ssize_t unused = write(self->wake, &one, sizeof one);
    (void)unused;
}

/* --- opening and closing */

static int open_socket(Receiver *self, uint32_t address, uint16_t port, int receive_buffer) {
    self->udp = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (self->udp < 0) return errno;
    int on = 1;
    struct sockaddr_in group = {
        .sin_family = AF_INET, .sin_addr.s_addr = address, .sin_port = port};
    struct ip_mreq membership = {.imr_multiaddr.s_addr = address};
    if (setsockopt(self->udp, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) < 0 ||
        setsockopt(self->udp, SOL_SOCKET, SO_RCVBUF, &receive_buffer, sizeof(int)) < 0 ||
        setsockopt(self->udp, SOL_SOCKET, SO_TIMESTAMPNS, &on, sizeof on) < 0 ||
        setsockopt(self->udp, SOL_SOCKET, SO_RXQ_OVFL, &on, sizeof on) < 0 ||
        bind(self->udp, (struct sockaddr *)&group, sizeof group) < 0 ||
        setsockopt(self->udp, IPPROTO_IP, IP_ADD_MEMBERSHIP, &membership, sizeof membership) < 0)
        return errno;
    return 0;
}

/* No signal is handled on it: they are for Python's main thread. */
static int start_thread(Receiver *self) {
    sigset_t every, before;
    pthread_attr_t attributes;
    sigfillset(&every);
    pthread_attr_init(&attributes);
    pthread_attr_setstacksize(&attributes, STACK_BYTES);
    pthread_sigmask(SIG_SETMASK, &every, &before);
    int error = pthread_create(&self->thread, &attributes, run, self);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    pthread_attr_destroy(&attributes);
    self->is_running = !error;
    return error;
}

int receiver_open(Receiver *self, uint32_t address, uint16_t port, int receive_buffer,
                  size_t max_bytes) {
    pthread_condattr_t monotonic;
    self->udp = self->wake = -1;
    pthread_mutex_init(&self->lock, NULL);
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&self->news, &monotonic);
    pthread_condattr_destroy(&monotonic);
    /* Not by malloc, which would not give so much back to the system when the receiver ends. */
    Packets *packets = mmap(NULL, sizeof *packets, PROT_READ | PROT_WRITE,
                            MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (packets != MAP_FAILED) self->packets = packets;
    if (!self->packets || !assembler_init(&self->assembler, max_bytes)) return ENOMEM;
    prepare(self->packets, BATCH);
    self->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (self->wake < 0) return errno;
    int error = open_socket(self, address, port, receive_buffer);
    return error ? error : start_thread(self);
}

static void close_descriptors(Receiver *self) {
    if (self->udp >= 0) close(self->udp);
    if (self->wake >= 0) close(self->wake);
    self->udp = self->wake = -1;
}

void receiver_close(Receiver *self) {
    pthread_mutex_lock(&self->lock);
    self->stop = true;
    pthread_mutex_unlock(&self->lock);
    if (self->is_running) {
        wake_thread(self);
        pthread_join(self->thread, NULL);
        self->is_running = false;
    }
    uint32_t drops = receiver_drops(self);
    pthread_mutex_lock(&self->lock);
    self->final_drops = drops;
    close_descriptors(self);
    pthread_mutex_unlock(&self->lock);
    receiver_interrupt(self);
}

void receiver_clear(Receiver *self, void (*forget)(void *user)) {
    assembler_clear(&self->assembler, forget);
    if (self->packets) munmap(self->packets, sizeof *self->packets);
    pthread_cond_destroy(&self->news);
    pthread_mutex_destroy(&self->lock);
}

void receiver_abandon(Receiver *self) {
    close_descriptors(self);
}

/* --- for whoever takes the messages */

void receiver_interrupt(Receiver *self) {
    pthread_mutex_lock(&self->lock);
    self->is_interrupted = true;
    pthread_cond_broadcast(&self->news);
    pthread_mutex_unlock(&self->lock);
}

/* Until when to wait for messages, or for more of them. */
static struct timespec wait_end(const Queue *queue, int64_t end_ns) {
    int64_t gathered_ns = queue->head ? queue_first_arrival(queue) + GATHER_NS : end_ns;
    if (gathered_ns < end_ns) end_ns = gathered_ns;
    return (struct timespec){.tv_sec = end_ns / 1000000000, .tv_nsec = end_ns % 1000000000};
}

int receiver_wait(Receiver *self, Block **blocks, int64_t timeout_ns) {
    int64_t end_ns = clock_monotonic() + timeout_ns;
    pthread_mutex_lock(&self->lock);
    int timed_out = 0;
    while (!has_enough(self) && !self->is_interrupted && !self->error && !timed_out) {
        struct timespec end = wait_end(&self->assembler.queue, end_ns);
        timed_out = pthread_cond_timedwait(&self->news, &self->lock, &end);
    }
    *blocks = queue_detach(&self->assembler.queue);
    self->is_interrupted = false;
    int error = *blocks ? 0 : self->error;
    pthread_mutex_unlock(&self->lock);
    return error;
}

uint64_t receiver_mark(Receiver *self) {
    pthread_mutex_lock(&self->lock);
    uint64_t mark = ++self->marks;
    self->mark_ns = clock_monotonic();
    if (self->wake >= 0) wake_thread(self);
    pthread_mutex_unlock(&self->lock);
    return mark;
}

uint64_t receiver_reached(Receiver *self) {
    pthread_mutex_lock(&self->lock);
    bool is_taken = self->taken >= self->mark_position;
    uint64_t reached = is_taken ? self->marks_passed : 0;
    pthread_mutex_unlock(&self->lock);
    return reached;
}

uint32_t receiver_drops(Receiver *self) {
    pthread_mutex_lock(&self->lock);
    uint32_t memory[SK_DROPS + 1] = {0}, drops = self->drops;
    socklen_t size = sizeof memory;
    if (self->udp < 0)
        drops = self->final_drops;
    else if (getsockopt(self->udp, SOL_SOCKET, SO_MEMINFO, memory, &size) == 0)
        drops = memory[SK_DROPS];
    pthread_mutex_unlock(&self->lock);
    return drops;
}
