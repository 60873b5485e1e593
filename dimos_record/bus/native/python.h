/* What the Python classes of this module share. */
#ifndef DIMOS_RECORD_PYTHON_H
#define DIMOS_RECORD_PYTHON_H

#define PY_SSIZE_T_CLEAN
#define Py_LIMITED_API 0x030A0000
#include <Python.h>

#include "assembler.h"

#define DEFAULT_MAX_BYTES (128 << 20)

/* Messages that have left a queue and become Python objects bit by bit. */
typedef struct {
    Block *blocks;
    Block *done; /* read to their end; they go back to the queue */
    size_t bytes; /* of the messages since the last `return_blocks` */
    uint64_t messages; /* of all of them */
} Taking;

/* A list of (arrival_ns, channel, data), and one of the channels that are new in it. Messages of
 * ignored channels are left out. The last message may be larger than what is left of the limit. */
PyObject *take_lists(Taking *self, Py_ssize_t max_messages, Py_ssize_t max_bytes);
/* Tell the queue, whose lock is held, what was taken from it. */
void return_blocks(Taking *self, Queue *queue);

/* A list of (address, received, lost, {channel: lost}), or of (address, {channel: dropped}). */
PyObject *report_list(const Report *report, bool only_dropped);

/* Zeroed memory for an object of ours, and the opposite. */
PyObject *new_object(PyTypeObject *type);
void free_object(PyObject *object);

/* For `assembler_clear`. */
void forget_object(void *object);

/* "O&" converter: a dotted IPv4 address, as on the wire, in a uint32_t. */
int parse_address(PyObject *text, void *address);

/* Differs in a forked process, which has the memory of its parent, but not its threads. */
extern unsigned process_generation;

extern PyType_Spec assembler_spec, clock_spec, receiver_spec, publisher_spec;

#endif
