/* The class Receiver: see `receiver.h`. */
#include "receiver.h"

#include <arpa/inet.h>
#include <errno.h>

#include "python.h"

typedef struct {
    PyObject_HEAD
    Receiver receiver;
    Taking taking;
    bool is_open, is_taking;
    unsigned generation;
} ReceiverObject;

static bool is_inherited(const ReceiverObject *self) {
    return self->generation != process_generation;
}

static bool check_process(const ReceiverObject *self) {
    if (!is_inherited(self)) return true;
    PyErr_SetString(PyExc_OSError, "this receiver belongs to the process that was forked");
    return false;
}

static void close_it(ReceiverObject *self) {
    if (!self->is_open) return;
    self->is_open = false;
    if (is_inherited(self)) {
        receiver_abandon(&self->receiver);
        return;
    }
    Py_BEGIN_ALLOW_THREADS
    receiver_close(&self->receiver);
    Py_END_ALLOW_THREADS
}

static void dealloc(ReceiverObject *self) {
    close_it(self);
    if (!is_inherited(self)) {
        blocks_free(self->taking.blocks);
        blocks_free(self->taking.done);
        receiver_clear(&self->receiver, forget_object);
    }
    free_object((PyObject *)self);
}

static PyObject *new(PyTypeObject *type, PyObject *args, PyObject *kwargs) {
    static char *names[] = {"address", "port", "recv_buf_size", "max_bytes", NULL};
    uint32_t address;
    int port, recv_buf_size;
    Py_ssize_t max_bytes = DEFAULT_MAX_BYTES;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "O&ii|n:Receiver", names, parse_address,
                                     &address, &port, &recv_buf_size, &max_bytes))
        return NULL;
    ReceiverObject *self = (ReceiverObject *)new_object(type);
    if (!self) return NULL;
    self->generation = process_generation;
    self->is_open = true;
    int error = receiver_open(&self->receiver, address, htons((uint16_t)port), recv_buf_size,
                              (size_t)max_bytes);
    if (!error) return (PyObject *)self;
    Py_DECREF(self);
    errno = error;
    return PyErr_SetFromErrno(PyExc_OSError);
}

/* What waits, unless some of it was taken before and there is still some left of that. */
static int wait_for_blocks(ReceiverObject *self, int timeout_ms) {
    if (self->taking.blocks) return 0;
    int error;
    Py_BEGIN_ALLOW_THREADS
    error = receiver_wait(&self->receiver, &self->taking.blocks, (int64_t)timeout_ms * 1000000);
    Py_END_ALLOW_THREADS
    return error;
}

static PyObject *take_now(ReceiverObject *self, Py_ssize_t max_messages, Py_ssize_t max_bytes) {
    Receiver *receiver = &self->receiver;
    PyObject *lists = take_lists(&self->taking, max_messages, max_bytes);
    pthread_mutex_lock(&receiver->lock);
    return_blocks(&self->taking, &receiver->assembler.queue);
    receiver->taken = self->taking.messages;
    pthread_mutex_unlock(&receiver->lock);
    return lists;
}

static PyObject *take(ReceiverObject *self, PyObject *args, PyObject *kwargs) {
    static char *names[] = {"max_messages", "max_bytes", "timeout_ms", NULL};
    Py_ssize_t max_messages, max_bytes;
    int timeout_ms;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "nni:take", names, &max_messages, &max_bytes,
                                     &timeout_ms) ||
        !check_process(self))
        return NULL;
    if (self->is_taking) {
        PyErr_SetString(PyExc_RuntimeError, "only one thread may take messages");
        return NULL;
    }
    self->is_taking = true;
    int error = wait_for_blocks(self, timeout_ms);
    PyObject *lists = NULL;
    if (error) {
        errno = error;
        PyErr_SetFromErrno(PyExc_OSError);
    } else {
        lists = take_now(self, max_messages, max_bytes);
    }
    self->is_taking = false;
    return lists;
}

static PyObject *interrupt(ReceiverObject *self, PyObject *unused) {
    (void)unused;
    if (!is_inherited(self)) receiver_interrupt(&self->receiver);
    Py_RETURN_NONE;
}

static PyObject *be_patient(ReceiverObject *self, PyObject *patience) {
    long ns = PyLong_AsLong(patience);
    if (ns == -1 && PyErr_Occurred()) return NULL;
    if (ns < 0 || ns >= 1000000000) {
        PyErr_SetString(PyExc_ValueError, "patience is from 0 to below 1 s, in ns");
        return NULL;
    }
    self->receiver.patience_ns = ns;
    Py_RETURN_NONE;
}

static PyObject *mark(ReceiverObject *self, PyObject *unused) {
    (void)unused;
    if (!check_process(self)) return NULL;
    return PyLong_FromUnsignedLongLong(receiver_mark(&self->receiver));
}

static PyObject *reached(ReceiverObject *self, PyObject *unused) {
    (void)unused;
    if (!check_process(self)) return NULL;
    return PyLong_FromUnsignedLongLong(receiver_reached(&self->receiver));
}

static PyObject *ignore(ReceiverObject *self, PyObject *channel) {
    Py_ssize_t size;
    const char *name = PyUnicode_AsUTF8AndSize(channel, &size);
    if (!name || !check_process(self)) return NULL;
    pthread_mutex_lock(&self->receiver.lock);
    channels_ignore(&self->receiver.assembler.channels, name, (size_t)size);
    pthread_mutex_unlock(&self->receiver.lock);
    Py_RETURN_NONE;
}

static PyObject *listen_to_all(ReceiverObject *self, PyObject *unused) {
    (void)unused;
    if (!check_process(self)) return NULL;
    pthread_mutex_lock(&self->receiver.lock);
    channels_listen(&self->receiver.assembler.channels);
    pthread_mutex_unlock(&self->receiver.lock);
    Py_RETURN_NONE;
}

static PyObject *report(ReceiverObject *self, bool only_dropped) {
    if (!check_process(self)) return NULL;
    Report report;
    pthread_mutex_lock(&self->receiver.lock);
    bool is_made = assembler_report(&self->receiver.assembler, clock_monotonic(), &report);
    pthread_mutex_unlock(&self->receiver.lock);
    if (!is_made) return PyErr_NoMemory();
    PyObject *list = report_list(&report, only_dropped);
    report_clear(&report);
    return list;
}

static PyObject *senders(ReceiverObject *self, PyObject *unused) {
    (void)unused;
    return report(self, false);
}

static PyObject *dropped(ReceiverObject *self, PyObject *unused) {
    (void)unused;
    return report(self, true);
}

static PyObject *drops(ReceiverObject *self, PyObject *unused) {
    (void)unused;
    if (!check_process(self)) return NULL;
    return PyLong_FromUnsignedLong(receiver_drops(&self->receiver));
}

static PyObject *descriptor(ReceiverObject *self, PyObject *unused) {
    (void)unused;
    return PyLong_FromLong(self->receiver.udp);
}

static PyObject *close_method(ReceiverObject *self, PyObject *unused) {
    (void)unused;
    close_it(self);
    Py_RETURN_NONE;
}

static PyMethodDef methods[] = {
    {"take", (PyCFunction)(void (*)(void))take, METH_VARARGS | METH_KEYWORDS,
     "take(max_messages: int, max_bytes: int, timeout_ms: int)\n--\n\n"
     "Wait for messages: a list of (arrival_ns, channel, data), empty after a while or\n"
     "an interruption, and a list of the channels that are new in it since `listen`.\n"
     "OSError: there will be none any more."},
    {"interrupt", (PyCFunction)interrupt, METH_NOARGS,
     "interrupt()\n--\n\nMake `take`, or the next one, return at once."},
    {"be_patient", (PyCFunction)be_patient, METH_O,
     "be_patient(ns: int)\n--\n\nHow long to let packets gather in the kernel before reading them;\n"
     "unless that is 0, `take` lets messages gather for some milliseconds, too."},
    {"mark", (PyCFunction)mark, METH_NOARGS,
     "mark()\n--\n\nA number that `reached` returns once all that has arrived by now is taken;\n"
     "`take` is interrupted when that may be so."},
    {"reached", (PyCFunction)reached, METH_NOARGS, "reached()\n--\n\nThe last mark reached."},
    {"ignore", (PyCFunction)ignore, METH_O,
     "ignore(channel: str)\n--\n\nDrop the messages of a channel that was heard, uncounted as lost."},
    {"listen", (PyCFunction)listen_to_all, METH_NOARGS,
     "listen()\n--\n\nIgnore nothing any more, and take every channel for new."},
    {"senders", (PyCFunction)senders, METH_NOARGS,
     "senders()\n--\n\nWho was heard, as a list of (address, received, lost, {channel: lost})."},
    {"dropped", (PyCFunction)dropped, METH_NOARGS,
     "dropped()\n--\n\nOf what was lost, what came complete and found no room in the queue, as a\n"
     "list of (address, {channel: messages})."},
    {"drops", (PyCFunction)drops, METH_NOARGS, "drops()\n--\n\nPackets that the kernel dropped."},
    {"fileno", (PyCFunction)descriptor, METH_NOARGS, "fileno()\n--\n\nThe socket; -1 if closed."},
    {"close", (PyCFunction)close_method, METH_NOARGS,
     "close()\n--\n\nEnd the thread and close the socket. Closing twice is harmless."},
    {0},
};

static PyType_Slot slots[] = {
    {Py_tp_doc, "Receiver(address: str, port: int, recv_buf_size: int, max_bytes: int)\n--\n\n"
                "Receives LCM messages on a thread of its own, which needs no interpreter."},
    {Py_tp_new, new},
    {Py_tp_dealloc, dealloc},
    {Py_tp_methods, methods},
    {0},
};

PyType_Spec receiver_spec = {
    .name = "dimos_record.bus._lcm_native.Receiver",
    .basicsize = sizeof(ReceiverObject),
    .flags = Py_TPFLAGS_DEFAULT,
    .slots = slots,
};
