// magnum.math: constants and free functions.
#include "bindings.hpp"
#include "convert.hpp"

namespace {

using namespace Magnum::Math;

/// Functions with one signature are bound from tables like this one.
template <class F> struct Named {
    const char* name;
    F function;
};

Rad<double> angle_of(double cosine) { return Rad<double>(std::acos(std::min(std::max(cosine, -1.0), 1.0))); }

// ---- scalars -----------------------------------------------------------------------------------------------------

double minimum(double a, double b) { return std::min(a, b); }
double maximum(double a, double b) { return std::max(a, b); }
double clamp(double value, double low, double high) { return std::min(std::max(value, low), high); }
double interpolate(double a, double b, double t) { return a * (1 - t) + b * t; }
double sign(double x) { return double(x > 0) - double(x < 0); }

void of_scalars(py::module_& math) {
    const Named<double (*)(double)> unary[] = {{"sqrt", std::sqrt},   {"floor", std::floor}, {"ceil", std::ceil},
                                               {"round", std::round}, {"abs", std::abs},     {"sign", sign}};
    for (const auto& f : unary) math.def(f.name, f.function, py::arg("value"));
    const Named<double (*)(double, double)> binary[] = {
        {"min", minimum}, {"max", maximum}, {"fmod", std::fmod}, {"pow", std::pow}};
    for (const auto& f : binary) math.def(f.name, f.function, py::arg("a"), py::arg("b"));
    math.def("clamp", clamp, py::arg("value"), py::arg("min"), py::arg("max"))
        .def("lerp", interpolate, py::arg("a"), py::arg("b"), py::arg("t"))
        .def("isnan", [](double x) { return std::isnan(x); })
        .def("isinf", [](double x) { return std::isinf(x); });

    const Named<double (*)(double)> of_angles[] = {{"sin", std::sin}, {"cos", std::cos}, {"tan", std::tan}};
    for (const auto& f : of_angles)
        math.def(
            f.name, [function = f.function](Rad<double> angle) { return function(angle.value()); }, py::arg("angle"));
    const Named<double (*)(double)> to_angles[] = {{"asin", std::asin}, {"acos", std::acos}, {"atan", std::atan}};
    for (const auto& f : to_angles)
        math.def(f.name, [function = f.function](double x) { return Rad<double>(function(x)); }, py::arg("value"));
}

void constants(py::module_& math) {
    math.attr("pi") = Pi;
    math.attr("pi_half") = Pi / 2;
    math.attr("pi_quarter") = Pi / 4;
    math.attr("tau") = 2 * Pi;
    math.attr("e") = std::exp(1.0);
    math.attr("sqrt2") = std::sqrt(2.0);
    math.attr("sqrt3") = std::sqrt(3.0);
    math.attr("sqrt_half") = std::sqrt(0.5);
    math.attr("nan") = std::numeric_limits<double>::quiet_NaN();
    math.attr("inf") = std::numeric_limits<double>::infinity();
}

// ---- vectors -----------------------------------------------------------------------------------------------------

template <class V> V minimum(const V& a, const V& b) {
    return map(a, b, [](auto x, auto y) { return std::min(x, y); });
}
template <class V> V maximum(const V& a, const V& b) {
    return map(a, b, [](auto x, auto y) { return std::max(x, y); });
}
template <class V> V clamp(const V& value, const V& low, const V& high) { return minimum(maximum(value, low), high); }
template <class V> V remainder(const V& a, const V& b) {
    return map(a, b, [](auto x, auto y) { return std::fmod(x, y); });
}
template <class V> V interpolate(const V& a, const V& b, typename V::Scalar t) {
    return a * (typename V::Scalar(1) - t) + b * t;
}
template <class V> Rad<double> angle_between(const V& a, const V& b) {
    if (!is_unit(dot(a, a)) || !is_unit(dot(b, b))) throw py::value_error("angle needs normalized vectors");
    return angle_of(double(dot(a, b)));
}

template <class V> void of_vectors(py::module_& math) {
    typedef typename V::Scalar T;
    math.def("dot", dot<V>, py::arg("a"), py::arg("b"))
        .def("min", minimum<V>, py::arg("a"), py::arg("b"))
        .def("max", maximum<V>, py::arg("a"), py::arg("b"))
        .def("clamp", clamp<V>, py::arg("value"), py::arg("min"), py::arg("max"));
    if constexpr (std::is_floating_point_v<T>) {
        math.def("angle", angle_between<V>, py::arg("normalized_a"), py::arg("normalized_b"))
            .def("lerp", interpolate<V>, py::arg("a"), py::arg("b"), py::arg("t"))
            .def("fmod", remainder<V>, py::arg("a"), py::arg("b"));
        const Named<T (*)(T)> unary[] = {
            {"sqrt", std::sqrt}, {"floor", std::floor}, {"ceil", std::ceil}, {"round", std::round}, {"abs", std::abs}};
        for (const auto& f : unary)
            math.def(f.name, [function = f.function](const V& a) { return map(a, function); }, py::arg("value"));
    }
}

template <template <class> class V> void of_vector_family(py::module_& math) {
    of_vectors<V<float>>(math), of_vectors<V<double>>(math), of_vectors<V<Magnum::Int>>(math);
}

template <class T> void cross_products(py::module_& math) {
    math.def("cross", cross<T>, py::arg("a"), py::arg("b"))
        .def(
            "cross", [](const Vector2<T>& a, const Vector2<T>& b) { return a[0] * b[1] - a[1] * b[0]; }, py::arg("a"),
            py::arg("b"));
}

// ---- quaternions -------------------------------------------------------------------------------------------------

template <class Q> void require_normalized(const Q& a, const Q& b) {
    if (!a.is_normalized() || !b.is_normalized()) throw py::value_error("the quaternions must be normalized");
}

template <class Q> typename Q::Scalar dot_product(const Q& a, const Q& b) { return a.dot(b); }

template <class Q> Rad<double> half_angle(const Q& a, const Q& b) {
    require_normalized(a, b);
    return angle_of(double(a.dot(b)));
}

template <class Q> Q normalized_mix(const Q& a, const Q& b, typename Q::Scalar t) {
    typedef typename Q::Scalar T;
    require_normalized(a, b);
    return (a * (T(1) - t) + b * t).normalized();
}

template <class Q> Q slerp(const Q& a, const Q& b, typename Q::Scalar t) {
    typedef typename Q::Scalar T;
    require_normalized(a, b);
    const T between = std::acos(std::min(std::max(a.dot(b), T(-1)), T(1)));
    // On the straight line where the arc is too short to divide by: b is nearly a, or nearly -a, the same rotation.
    if (std::sin(between) < T(1.0e-4)) return normalized_mix(a, a.dot(b) < T(0) ? b * T(-1) : b, t);
    return (a * std::sin((T(1) - t) * between) + b * std::sin(t * between)) * (T(1) / std::sin(between));
}

template <class Q> Q slerp_shortest_path(const Q& a, const Q& b, typename Q::Scalar t) {
    typedef typename Q::Scalar T;
    return slerp(a.dot(b) < T(0) ? a * T(-1) : a, b, t);
}

template <class Q> void of_quaternions(py::module_& math) {
    math.def("dot", dot_product<Q>, py::arg("a"), py::arg("b"))
        .def("half_angle", half_angle<Q>, "Half the angle of the rotation from one to the other",
             py::arg("normalized_a"), py::arg("normalized_b"));
    const Named<Q (*)(const Q&, const Q&, typename Q::Scalar)> mixes[] = {
        {"lerp", normalized_mix<Q>}, {"slerp", slerp<Q>}, {"slerp_shortest_path", slerp_shortest_path<Q>}};
    for (const auto& f : mixes)
        math.def(f.name, f.function, py::arg("normalized_a"), py::arg("normalized_b"), py::arg("t"));
}

}  // namespace

void bindings::math_functions(py::module_& math) {
    constants(math);
    of_scalars(math);
    of_quaternions<Quaternion<float>>(math), of_quaternions<Quaternion<double>>(math);
    of_vector_family<Vector2>(math), of_vector_family<Vector3>(math), of_vector_family<Vector4>(math);
    cross_products<float>(math), cross_products<double>(math);
}
