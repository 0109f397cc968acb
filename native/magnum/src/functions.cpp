// magnum.math: constants and free functions.
#include "bindings.hpp"
#include "convert.hpp"

namespace {

using namespace Magnum::Math;

template <class T> Rad<double> angle(double cosine) {
    return Rad<double>(std::acos(std::min(std::max(cosine, -1.0), 1.0)));
}

template <class V> void of_vectors(py::module_& math) {
    typedef typename V::Scalar T;
    math.def(
            "dot", [](const V& a, const V& b) { return dot(a, b); }, py::arg("a"), py::arg("b"))
        .def(
            "min", [](const V& a, const V& b) { return map(a, b, [](T x, T y) { return std::min(x, y); }); },
            py::arg("a"), py::arg("b"))
        .def(
            "max", [](const V& a, const V& b) { return map(a, b, [](T x, T y) { return std::max(x, y); }); },
            py::arg("a"), py::arg("b"))
        .def(
            "clamp",
            [](const V& a, const V& low, const V& high) {
                V out;
                for (std::size_t i = 0; i < V::Size; ++i) out[i] = std::min(std::max(a[i], low[i]), high[i]);
                return out;
            },
            py::arg("value"), py::arg("min"), py::arg("max"));
    if constexpr (std::is_floating_point_v<T>) {
        math.def(
                "angle",
                [](const V& a, const V& b) {
                    if (!is_unit(dot(a, a)) || !is_unit(dot(b, b)))
                        throw py::value_error("angle needs normalized vectors");
                    return angle<T>(dot(a, b));
                },
                py::arg("normalized_a"), py::arg("normalized_b"))
            .def(
                "lerp", [](const V& a, const V& b, T t) { return a * (T(1) - t) + b * t; }, py::arg("a"), py::arg("b"),
                py::arg("t"))
            .def(
                "fmod", [](const V& a, const V& b) { return map(a, b, [](T x, T y) { return std::fmod(x, y); }); },
                py::arg("a"), py::arg("b"));
        struct Named {
            const char* name;
            T (*function)(T);
        };
        for (const Named f : {Named{"floor", std::floor},
                              {"ceil", std::ceil},
                              {"round", std::round},
                              {"sqrt", std::sqrt},
                              {"abs", std::abs}})
            math.def(f.name, [function = f.function](const V& a) { return map(a, function); });
    }
}

template <class T> void of_quaternions(py::module_& math) {
    typedef Quaternion<T> Q;
    auto require_normalized = [](const Q& a, const Q& b) {
        if (!a.is_normalized() || !b.is_normalized()) throw py::value_error("the quaternions must be normalized");
    };
    auto slerp = [](const Q& a, const Q& b, T t) {
        const T cosine = std::min(std::max(a.dot(b), T(-1)), T(1)), between = std::acos(cosine);
        if (between < T(1.0e-4)) return (a * (T(1) - t) + b * t).normalized();
        return (a * std::sin((T(1) - t) * between) + b * std::sin(t * between)) * (T(1) / std::sin(between));
    };
    math.def(
            "dot", [](const Q& a, const Q& b) { return a.dot(b); }, py::arg("a"), py::arg("b"))
        .def(
            "angle",
            [require_normalized](const Q& a, const Q& b) {
                require_normalized(a, b);
                return angle<T>(a.dot(b));
            },
            "Angle on the four-dimensional sphere: half the angle of rotation between them", py::arg("normalized_a"),
            py::arg("normalized_b"))
        .def(
            "half_angle",
            [require_normalized](const Q& a, const Q& b) {
                require_normalized(a, b);
                return angle<T>(a.dot(b));
            },
            py::arg("normalized_a"), py::arg("normalized_b"))
        .def(
            "lerp",
            [require_normalized](const Q& a, const Q& b, T t) {
                require_normalized(a, b);
                return (a * (T(1) - t) + b * t).normalized();
            },
            py::arg("normalized_a"), py::arg("normalized_b"), py::arg("t"))
        .def(
            "slerp",
            [require_normalized, slerp](const Q& a, const Q& b, T t) {
                require_normalized(a, b);
                return slerp(a, b, t);
            },
            py::arg("normalized_a"), py::arg("normalized_b"), py::arg("t"))
        .def(
            "slerp_shortest_path",
            [require_normalized, slerp](const Q& a, const Q& b, T t) {
                require_normalized(a, b);
                return slerp(a.dot(b) < T(0) ? a * T(-1) : a, b, t);
            },
            py::arg("normalized_a"), py::arg("normalized_b"), py::arg("t"));
}

void of_scalars(py::module_& math) {
    math.def(
            "lerp", [](double a, double b, double t) { return a * (1 - t) + b * t; }, py::arg("a"), py::arg("b"),
            py::arg("t"))
        .def(
            "clamp", [](double x, double low, double high) { return std::min(std::max(x, low), high); },
            py::arg("value"), py::arg("min"), py::arg("max"))
        .def(
            "min", [](double a, double b) { return std::min(a, b); }, py::arg("a"), py::arg("b"))
        .def(
            "max", [](double a, double b) { return std::max(a, b); }, py::arg("a"), py::arg("b"))
        .def(
            "fmod", [](double a, double b) { return std::fmod(a, b); }, py::arg("a"), py::arg("b"))
        .def(
            "pow", [](double a, double b) { return std::pow(a, b); }, py::arg("base"), py::arg("exponent"))
        .def("isnan", [](double x) { return std::isnan(x); })
        .def("isinf", [](double x) { return std::isinf(x); })
        .def("sign", [](double x) { return x > 0   ? 1.0
                                           : x < 0 ? -1.0
                                                   : 0.0; })
        .def("sqrt", [](double x) { return std::sqrt(x); })
        .def("floor", [](double x) { return std::floor(x); })
        .def("ceil", [](double x) { return std::ceil(x); })
        .def("round", [](double x) { return std::round(x); })
        .def("abs", [](double x) { return std::abs(x); })
        .def(
            "sin", [](Rad<double> a) { return std::sin(a.value()); }, py::arg("angle"))
        .def(
            "cos", [](Rad<double> a) { return std::cos(a.value()); }, py::arg("angle"))
        .def(
            "tan", [](Rad<double> a) { return std::tan(a.value()); }, py::arg("angle"))
        .def("asin", [](double x) { return Rad<double>(std::asin(x)); })
        .def("acos", [](double x) { return Rad<double>(std::acos(x)); })
        .def("atan", [](double x) { return Rad<double>(std::atan(x)); });
    math.attr("pi") = Pi, math.attr("pi_half") = Pi / 2, math.attr("pi_quarter") = Pi / 4, math.attr("tau") = 2 * Pi;
    math.attr("e") = std::exp(1.0), math.attr("sqrt2") = std::sqrt(2.0), math.attr("sqrt3") = std::sqrt(3.0),
    math.attr("sqrt_half") = std::sqrt(0.5);
    math.attr("nan") = std::numeric_limits<double>::quiet_NaN(),
    math.attr("inf") = std::numeric_limits<double>::infinity();
}

}  // namespace

void bindings::math_functions(py::module_& math) {
    of_scalars(math);
    of_quaternions<float>(math);
    of_quaternions<double>(math);
    of_vectors<Vector3<float>>(math), of_vectors<Vector3<double>>(math), of_vectors<Vector3<Magnum::Int>>(math);
    of_vectors<Vector2<float>>(math), of_vectors<Vector2<double>>(math), of_vectors<Vector2<Magnum::Int>>(math);
    of_vectors<Vector4<float>>(math), of_vectors<Vector4<double>>(math), of_vectors<Vector4<Magnum::Int>>(math);
    math.def(
            "cross", [](const Vector3<float>& a, const Vector3<float>& b) { return cross(a, b); }, py::arg("a"),
            py::arg("b"))
        .def(
            "cross", [](const Vector3<double>& a, const Vector3<double>& b) { return cross(a, b); }, py::arg("a"),
            py::arg("b"))
        .def(
            "cross", [](const Vector2<float>& a, const Vector2<float>& b) { return a[0] * b[1] - a[1] * b[0]; },
            py::arg("a"), py::arg("b"));
}
