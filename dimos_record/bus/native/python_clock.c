/* The class Clock: how a Receiver finds out when a packet arrived, with clocks that are given. */
#include "clock.h"

#include "python.h"

typedef struct {
    PyObject_HEAD
    Clock clock;
} ClockObject;

static PyObject *see(ClockObject *self, PyObject *args) {
    long long monotonic_ns, wall_ns;
    if (!PyArg_ParseTuple(args, "LL:see", &monotonic_ns, &wall_ns)) return NULL;
    clock_see(&self->clock, monotonic_ns, wall_ns);
    Py_RETURN_NONE;
}

static PyObject *arrival(ClockObject *self, PyObject *stamp) {
    long long stamp_ns = PyLong_AsLongLong(stamp);
    if (stamp_ns == -1 && PyErr_Occurred()) return NULL;
    return PyLong_FromLongLong(clock_arrival(&self->clock, stamp_ns));
}

static PyObject *caught_up(ClockObject *self, PyObject *unused) {
    (void)unused;
    clock_caught_up(&self->clock);
    Py_RETURN_NONE;
}

static PyMethodDef methods[] = {
    {"see", (PyCFunction)see, METH_VARARGS,
     "see(monotonic_ns: int, wall_ns: int)\n--\n\nPackets were just read, and it is so late."},
    {"arrival", (PyCFunction)arrival, METH_O,
     "arrival(stamp_ns: int)\n--\n\nThe monotonic time of the kernel's stamp on a packet."},
    {"caught_up", (PyCFunction)caught_up, METH_NOARGS,
     "caught_up()\n--\n\nNo packet waits any more."},
    {0},
};

static PyType_Slot slots[] = {
    {Py_tp_doc, "Clock()\n--\n\nTurns stamps of the wall clock into monotonic times."},
    {Py_tp_dealloc, free_object},
    {Py_tp_methods, methods},
    {0},
};

PyType_Spec clock_spec = {
    .name = "dimos_record.bus._lcm_native.Clock",
    .basicsize = sizeof(ClockObject),
    .flags = Py_TPFLAGS_DEFAULT,
    .slots = slots,
};
