// Numbers in from tuples, lists and buffers (NumPy arrays among them). These run at every simulator step, so they
// read memory directly instead of going through Python constructors.
#pragma once

#include <pybind11/pybind11.h>

#include <cstring>
#include <string>
#include <type_traits>
#include <vector>

#include "math_types.hpp"

namespace py = pybind11;

namespace convert {

/// One Python number. Floats do not turn into integers.
template <class T> bool read_number(PyObject* source, T& out) {
    if constexpr (std::is_floating_point_v<T>) {
        if (PyFloat_CheckExact(source)) {
            out = T(PyFloat_AS_DOUBLE(source));
            return true;
        }
        if (PyUnicode_Check(source) || PySequence_Check(source)) return false;
        const double value = PyFloat_AsDouble(source);
        if (value == -1.0 && PyErr_Occurred()) return PyErr_Clear(), false;
        out = T(value);
        return true;
    } else {
        if (!PyIndex_Check(source)) return false;
        PyObject* index = PyNumber_Index(source);
        if (!index) return PyErr_Clear(), false;
        const long long value = PyLong_AsLongLong(index);
        Py_DECREF(index);
        if (value == -1 && PyErr_Occurred()) return PyErr_Clear(), false;
        out = T(value);
        return static_cast<long long>(out) == value;
    }
}

/// Releases a Py_buffer at the end of the scope.
class Buffer {
  public:
    Buffer(PyObject* source, int flags) { valid = PyObject_GetBuffer(source, &view, flags) == 0; }
    ~Buffer() {
        if (valid) PyBuffer_Release(&view);
    }
    Buffer(const Buffer&) = delete;
    Buffer& operator=(const Buffer&) = delete;

    Py_buffer view;
    bool valid;
};

template <class T> using ItemReader = bool (*)(const char*, T&);

template <class From, class T> bool read_item(const char* source, T& out) {
    if constexpr (std::is_floating_point_v<From> && !std::is_floating_point_v<T>) {
        return false;
    } else {
        From value;
        std::memcpy(&value, source, sizeof value);
        out = T(value);
        if constexpr (std::is_floating_point_v<T>)
            return true;
        else
            return From(out) == value && (out < T(0)) == (value < From(0));
    }
}

/// Reader for a buffer's item format; null if it is not a plain native number.
template <class T> ItemReader<T> item_reader(const char* format) {
    if (!format) return read_item<unsigned char, T>;
    if (*format == '@' || *format == '=' || *format == '<') ++format;
    if (!format[0] || format[1]) return nullptr;
    switch (*format) {
        case 'f':
            return read_item<float, T>;
        case 'd':
            return read_item<double, T>;
        case 'b':
            return read_item<signed char, T>;
        case 'B':
            return read_item<unsigned char, T>;
        case 'h':
            return read_item<short, T>;
        case 'H':
            return read_item<unsigned short, T>;
        case 'i':
            return read_item<int, T>;
        case 'I':
            return read_item<unsigned int, T>;
        case 'l':
            return read_item<long, T>;
        case 'L':
            return read_item<unsigned long, T>;
        case 'q':
            return read_item<long long, T>;
        case 'Q':
            return read_item<unsigned long long, T>;
        default:
            return nullptr;
    }
}

/// Exactly `count` numbers of a one-dimensional buffer, tuple or list. Never leaves a Python error set.
template <class T> bool read_numbers(PyObject* source, T* out, Py_ssize_t count) {
    if (PyTuple_Check(source) || PyList_Check(source)) {
        if (PySequence_Fast_GET_SIZE(source) != count) return false;
        for (Py_ssize_t i = 0; i < count; ++i)
            if (!read_number(PySequence_Fast_GET_ITEM(source, i), out[i])) return false;
        return true;
    }
    if (!PyObject_CheckBuffer(source)) return false;
    const Buffer buffer(source, PyBUF_STRIDES | PyBUF_FORMAT);
    if (!buffer.valid) return PyErr_Clear(), false;
    if (buffer.view.ndim != 1 || buffer.view.shape[0] != count) return false;
    const ItemReader<T> read = item_reader<T>(buffer.view.format);
    if (!read) return false;
    const char* item = static_cast<const char*>(buffer.view.buf);
    for (Py_ssize_t i = 0; i < count; ++i, item += buffer.view.strides[0])
        if (!read(item, out[i])) return false;
    return true;
}

template <class V>
bool read(PyObject* source, V& out,
          std::enable_if_t<std::is_base_of_v<Magnum::Math::Vector<V::Size, typename V::Scalar>, V>>* = nullptr) {
    return read_numbers(source, out.data(), V::Size);
}

/// A matrix: a two-dimensional buffer indexed [row][column], or a tuple or list of columns.
template <class M>
bool read(PyObject* source, M& out,
          std::enable_if_t<std::is_base_of_v<Magnum::Math::Matrix<M::Size, typename M::Scalar>, M>>* = nullptr) {
    typedef typename M::Scalar T;
    constexpr Py_ssize_t size = M::Size;
    if (PyTuple_Check(source) || PyList_Check(source)) {
        if (PySequence_Fast_GET_SIZE(source) != size) return false;
        for (Py_ssize_t i = 0; i < size; ++i)
            if (!read_numbers(PySequence_Fast_GET_ITEM(source, i), out[i].data(), size)) return false;
        return true;
    }
    if (!PyObject_CheckBuffer(source)) return false;
    const Buffer buffer(source, PyBUF_STRIDES | PyBUF_FORMAT);
    if (!buffer.valid) return PyErr_Clear(), false;
    if (buffer.view.ndim != 2 || buffer.view.shape[0] != size || buffer.view.shape[1] != size) return false;
    const ItemReader<T> read_one = item_reader<T>(buffer.view.format);
    if (!read_one) return false;
    for (Py_ssize_t row = 0; row < size; ++row)
        for (Py_ssize_t column = 0; column < size; ++column)
            if (!read_one(static_cast<const char*>(buffer.view.buf) + row * buffer.view.strides[0] +
                              column * buffer.view.strides[1],
                          out[column][row]))
                return false;
    return true;
}

/// Lets every function that takes a T, the simulator's included, take what `read` understands too.
template <class T> void implicitly_convertible() {
    py::detail::get_type_info(typeid(T), true)
        ->implicit_conversions.push_back([](PyObject* source, PyTypeObject*) -> PyObject* {
            T value;
            return read(source, value) ? py::cast(value).release().ptr() : nullptr;
        });
}

/// copy, deepcopy and pickle of a class that is plain numbers.
template <class Class> void copyable(Class& cls) {
    typedef typename Class::type T;
    static_assert(std::is_trivially_copyable_v<T>);
    cls.def("__copy__", [](const T& self) { return self; })
        .def(
            "__deepcopy__", [](const T& self, py::handle) { return self; }, py::arg("memo"))
        .def(py::pickle([](const T& self) { return py::bytes(reinterpret_cast<const char*>(&self), sizeof(T)); },
                        [](const py::bytes& state) {
                            const std::string raw = state;
                            if (raw.size() != sizeof(T)) throw py::value_error("state of another type");
                            T out;
                            std::memcpy(static_cast<void*>(&out), raw.data(), sizeof(T));
                            return out;
                        }));
}

}  // namespace convert
