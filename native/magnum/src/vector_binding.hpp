// What vectors and colours are both bound with.
#pragma once

#include "convert.hpp"
#include "format.hpp"

namespace binding {

using namespace Magnum::Math;

/// Everything whose result has the class of its operand, hence bound again for colours.
template <class V, class... Rest> void arithmetic(py::class_<V, Rest...>& cls) {
    typedef typename V::Scalar T;
    cls.def("__neg__", [](const V& a) { return map(a, [](T x) { return -x; }); })
        .def(
            "__add__", [](const V& a, const V& b) { return a + b; }, py::is_operator())
        .def(
            "__radd__", [](const V& a, const V& b) { return b + a; }, py::is_operator())
        .def(
            "__sub__", [](const V& a, const V& b) { return a - b; }, py::is_operator())
        .def(
            "__rsub__", [](const V& a, const V& b) { return b - a; }, py::is_operator())
        .def(
            "__mul__", [](const V& a, const V& b) { return map(a, b, [](T x, T y) { return x * y; }); },
            py::is_operator())
        .def(
            "__mul__", [](const V& a, T s) { return a * s; }, py::is_operator())
        .def("__rmul__", [](const V& a, T s) { return a * s; }, py::is_operator());
    if constexpr (std::is_floating_point_v<T>) {
        cls.def(
               "__truediv__", [](const V& a, const V& b) { return map(a, b, [](T x, T y) { return x / y; }); },
               py::is_operator())
            .def(
                "__truediv__", [](const V& a, T s) { return map(a, [s](T x) { return x / s; }); }, py::is_operator())
            .def(
                "__rtruediv__", [](const V& a, T s) { return map(a, [s](T x) { return s / x; }); }, py::is_operator())
            .def("normalized", [](const V& a) { return normalized(a); })
            .def(
                "resized", [](const V& a, T length_) { return a * (length_ / length(a)); }, py::arg("length"))
            .def(
                "projected", [](const V& a, const V& line) { return line * (dot(a, line) / dot(line, line)); },
                py::arg("line"))
            .def(
                "projected_onto_normalized", [](const V& a, const V& line) { return line * dot(a, line); },
                py::arg("line"));
    } else {
        auto divide = [](T x, T y) {
            if (y == T(0)) {
                PyErr_SetString(PyExc_ZeroDivisionError, "integer vector division by zero");
                throw py::error_already_set();
            }
            return T(x / y);
        };
        cls.def(
               "__floordiv__", [divide](const V& a, const V& b) { return map(a, b, divide); }, py::is_operator())
            .def(
                "__floordiv__", [divide](const V& a, T s) { return map(a, [&](T x) { return divide(x, s); }); },
                py::is_operator());
    }
    cls.def_static("zero_init", [] { return V(); }).def("__repr__", [](const V& v) {
        return "Vector(" + format::joined(v, V::Size) + ")";
    });
}

template <class V, class... Rest> void constructible(py::class_<V, Rest...>& cls) {
    typedef typename V::Scalar T;
    cls.def(py::init<>()).def(py::init<const V&>()).def(py::init<T>(), py::arg("value"));
    // Implicit conversion would do as well, and take twice as long: it makes a Python object of the numbers first.
    cls.def(py::init([](const py::object& numbers) {
                V out;
                if (!convert::read(numbers.ptr(), out)) throw py::reference_cast_error();  // on to the next overload
                return out;
            }),
            py::arg("numbers"));
    if constexpr (V::Size == 2) cls.def(py::init<T, T>(), py::arg("x"), py::arg("y"));
    if constexpr (V::Size == 3)
        cls.def(py::init<T, T, T>(), py::arg("x"), py::arg("y"), py::arg("z"))
            .def(py::init<const Vector2<T>&, T>(), py::arg("xy"), py::arg("z"));
}

}  // namespace binding
