#include "bindings.hpp"
#include "convert.hpp"
#include "vector_binding.hpp"

namespace {

using namespace Magnum::Math;
using binding::arithmetic;
using binding::constructible;

typedef Color3<float> RGB;
typedef Color4<float> RGBA;

/// Hue in degrees, saturation and value in [0, 1].
RGB from_hsv(Deg<double> hue, float saturation, float value) {
    const float h = float(std::fmod(std::fmod(hue.value(), 360.0) + 360.0, 360.0) / 60.0);
    auto channel = [&](float offset) {
        const float k = std::fmod(offset + h, 6.0f);
        return value - value * saturation * std::max(0.0f, std::min({k, 4.0f - k, 1.0f}));
    };
    return RGB(channel(5), channel(3), channel(1));
}

float srgb_to_linear(float x) { return x <= 0.04045f ? x / 12.92f : std::pow((x + 0.055f) / 1.055f, 2.4f); }
float linear_to_srgb(float x) { return x <= 0.0031308f ? x * 12.92f : 1.055f * std::pow(x, 1.0f / 2.4f) - 0.055f; }

template <class C> C srgb_decoded(C c) {
    for (std::size_t i = 0; i < 3; ++i) c[i] = srgb_to_linear(c[i]);
    return c;
}

RGB rgb_of(unsigned value) {
    return RGB(float(value >> 16 & 255) / 255, float(value >> 8 & 255) / 255, float(value & 255) / 255);
}

template <class C> unsigned packed(C c, bool srgb) {
    unsigned out = 0;
    for (std::size_t i = 0; i < C::Size; ++i) {
        const float x = srgb && i < 3 ? linear_to_srgb(c[i]) : c[i];
        out = out << 8 | unsigned(std::lround(std::min(std::max(x, 0.0f), 1.0f) * 255));
    }
    return out;
}

template <class C, class... Rest> void color_common(py::class_<C, Rest...>& cls) {
    arithmetic(cls);
    const char* names[] = {"r", "g", "b", "a"};
    for (std::size_t i = 0; i < C::Size; ++i)
        cls.def_property(names[i], [i](const C& c) { return c[i]; }, [i](C& c, float value) { c[i] = value; });
    cls.def_property_readonly("rgb", [](const C& c) { return RGB(c[0], c[1], c[2]); })
        .def("to_srgb_int", [](const C& c) { return packed(c, true); })
        .def("to_linear_rgb_int", [](const C& c) { return packed(c, false); });
    convert::implicitly_convertible<C>();
    convert::copyable(cls);
}

}  // namespace

void bindings::colors(py::module_& m) {
    py::class_<RGB, Vector3<float>> color3(m, "Color3", py::buffer_protocol(), "Linear RGB colour");
    constructible(color3);
    color3.def(py::init<const Vector3<float>&>(), py::arg("rgb"));
    color_common(color3);

    py::class_<RGBA, Vector4<float>> color4(m, "Color4", py::buffer_protocol(), "Linear RGBA colour");
    color4.def(py::init<>())
        .def(py::init<const RGBA&>())
        .def(py::init<const Vector4<float>&>(), py::arg("rgba"))
        .def(py::init<float, float>(), py::arg("value"), py::arg("alpha") = 1.0f)
        .def(py::init<float, float, float, float>(), py::arg("r"), py::arg("g"), py::arg("b"), py::arg("alpha") = 1.0f)
        .def(py::init<const Vector3<float>&, float>(), py::arg("rgb"), py::arg("alpha") = 1.0f);
    color_common(color4);
    py::implicitly_convertible<Vector3<float>, RGB>();
    py::implicitly_convertible<Vector3<float>, RGBA>();
    py::implicitly_convertible<Vector4<float>, RGBA>();

    struct Primary {
        const char* name;
        bool r, g, b;
    };
    for (const Primary p : {Primary{"red", 1, 0, 0},
                            {"green", 0, 1, 0},
                            {"blue", 0, 0, 1},
                            {"cyan", 0, 1, 1},
                            {"magenta", 1, 0, 1},
                            {"yellow", 1, 1, 0}}) {
        // The primaries take the strength of their lit channels; cyan and its kin that of the unlit one.
        const bool mixed = p.r + p.g + p.b == 2;
        auto make = [p, mixed](float x) {
            const float lit = mixed ? 1.0f : x, unlit = mixed ? x : 0.0f;
            return RGB(p.r ? lit : unlit, p.g ? lit : unlit, p.b ? lit : unlit);
        };
        const float strength = mixed ? 0.0f : 1.0f;
        color3.def_static(p.name, make, py::arg("strength") = strength);
        color4.def_static(
            p.name, [make](float x, float alpha) { return RGBA(make(x), alpha); }, py::arg("strength") = strength,
            py::arg("alpha") = 1.0f);
    }
    color3.def_static("from_hsv", from_hsv, py::arg("hue"), py::arg("saturation"), py::arg("value"))
        .def_static(
            "from_srgb", [](unsigned v) { return srgb_decoded(rgb_of(v)); }, py::arg("srgb"))
        .def_static("from_linear_rgb_int", rgb_of, py::arg("linear"));
    color4
        .def_static(
            "from_hsv", [](Deg<double> h, float s, float v, float a) { return RGBA(from_hsv(h, s, v), a); },
            py::arg("hue"), py::arg("saturation"), py::arg("value"), py::arg("alpha") = 1.0f)
        .def_static(
            "from_srgb", [](unsigned v, float a) { return RGBA(srgb_decoded(rgb_of(v)), a); }, py::arg("srgb"),
            py::arg("alpha") = 1.0f)
        .def_static(
            "from_linear_rgb_int", [](unsigned v, float a) { return RGBA(rgb_of(v), a); }, py::arg("linear"),
            py::arg("alpha") = 1.0f);
}
