#include "image.hpp"

#include <memory>

#include "bindings.hpp"
#include "convert.hpp"

namespace {

using namespace Magnum;
typedef Math::Vector2<Int> Size;

struct Format {
    PixelFormat value;
    const char* name;
    UnsignedInt bytes;
};

constexpr Format Formats[] = {
    {PixelFormat::R8Unorm, "R8_UNORM", 1},
    {PixelFormat::RG8Unorm, "RG8_UNORM", 2},
    {PixelFormat::RGB8Unorm, "RGB8_UNORM", 3},
    {PixelFormat::RGBA8Unorm, "RGBA8_UNORM", 4},
    {PixelFormat::R8Snorm, "R8_SNORM", 1},
    {PixelFormat::RG8Snorm, "RG8_SNORM", 2},
    {PixelFormat::RGB8Snorm, "RGB8_SNORM", 3},
    {PixelFormat::RGBA8Snorm, "RGBA8_SNORM", 4},
    {PixelFormat::R8Srgb, "R8_SRGB", 1},
    {PixelFormat::RG8Srgb, "RG8_SRGB", 2},
    {PixelFormat::RGB8Srgb, "RGB8_SRGB", 3},
    {PixelFormat::RGBA8Srgb, "RGBA8_SRGB", 4},
    {PixelFormat::R8UI, "R8UI", 1},
    {PixelFormat::RG8UI, "RG8UI", 2},
    {PixelFormat::RGB8UI, "RGB8UI", 3},
    {PixelFormat::RGBA8UI, "RGBA8UI", 4},
    {PixelFormat::R8I, "R8I", 1},
    {PixelFormat::RG8I, "RG8I", 2},
    {PixelFormat::RGB8I, "RGB8I", 3},
    {PixelFormat::RGBA8I, "RGBA8I", 4},
    {PixelFormat::R16Unorm, "R16_UNORM", 2},
    {PixelFormat::RG16Unorm, "RG16_UNORM", 4},
    {PixelFormat::RGB16Unorm, "RGB16_UNORM", 6},
    {PixelFormat::RGBA16Unorm, "RGBA16_UNORM", 8},
    {PixelFormat::R16Snorm, "R16_SNORM", 2},
    {PixelFormat::RG16Snorm, "RG16_SNORM", 4},
    {PixelFormat::RGB16Snorm, "RGB16_SNORM", 6},
    {PixelFormat::RGBA16Snorm, "RGBA16_SNORM", 8},
    {PixelFormat::R16UI, "R16UI", 2},
    {PixelFormat::RG16UI, "RG16UI", 4},
    {PixelFormat::RGB16UI, "RGB16UI", 6},
    {PixelFormat::RGBA16UI, "RGBA16UI", 8},
    {PixelFormat::R16I, "R16I", 2},
    {PixelFormat::RG16I, "RG16I", 4},
    {PixelFormat::RGB16I, "RGB16I", 6},
    {PixelFormat::RGBA16I, "RGBA16I", 8},
    {PixelFormat::R32UI, "R32UI", 4},
    {PixelFormat::RG32UI, "RG32UI", 8},
    {PixelFormat::RGB32UI, "RGB32UI", 12},
    {PixelFormat::RGBA32UI, "RGBA32UI", 16},
    {PixelFormat::R32I, "R32I", 4},
    {PixelFormat::RG32I, "RG32I", 8},
    {PixelFormat::RGB32I, "RGB32I", 12},
    {PixelFormat::RGBA32I, "RGBA32I", 16},
    {PixelFormat::R16F, "R16F", 2},
    {PixelFormat::RG16F, "RG16F", 4},
    {PixelFormat::RGB16F, "RGB16F", 6},
    {PixelFormat::RGBA16F, "RGBA16F", 8},
    {PixelFormat::R32F, "R32F", 4},
    {PixelFormat::RG32F, "RG32F", 8},
    {PixelFormat::RGB32F, "RGB32F", 12},
    {PixelFormat::RGBA32F, "RGBA32F", 16},
    {PixelFormat::Depth16Unorm, "DEPTH16_UNORM", 2},
    {PixelFormat::Depth24Unorm, "DEPTH24_UNORM", 4},
    {PixelFormat::Depth32F, "DEPTH32F", 4},
    {PixelFormat::Stencil8UI, "STENCIL8UI", 1},
    {PixelFormat::Depth16UnormStencil8UI, "DEPTH16_UNORM_STENCIL8UI", 4},
    {PixelFormat::Depth24UnormStencil8UI, "DEPTH24_UNORM_STENCIL8UI", 4},
    {PixelFormat::Depth32FStencil8UI, "DEPTH32F_STENCIL8UI", 8},
};

constexpr bool in_order() {
    UnsignedInt expected = 1;
    for (const Format& format : Formats)
        if (static_cast<UnsignedInt>(format.value) != expected++) return false;
    return expected == 60;
}
static_assert(in_order(), "Formats is indexed by the format's value less one");

const Format& described(PixelFormat format) {
    const auto index = static_cast<UnsignedInt>(format) - 1;
    if (index >= std::size(Formats)) throw py::value_error("unknown pixel format " + std::to_string(index + 1));
    return Formats[index];
}

/// Wide enough that no product of an image's sizes overflows.
typedef unsigned __int128 Bytes;

/// Bytes an image needs, with its rows padded to the storage's alignment.
Bytes required_bytes(const PixelStorage& storage, UnsignedInt pixel_size, Size size) {
    if (!size[0] || !size[1]) return 0;
    const Bytes alignment = Bytes(storage.alignment), pixels = Bytes(storage.row_length ? storage.row_length : size[0]);
    const Bytes row = (pixel_size * pixels + alignment - 1) / alignment * alignment;
    return Bytes(storage.skip[1]) * row + Bytes(storage.skip[0]) * pixel_size + row * Bytes(size[1]);
}

/// A view's deleter: keeps the buffer looked into exported, so that nobody resizes or frees it meanwhile.
struct Release {
    std::shared_ptr<convert::Buffer> buffer;
    template <class View> void operator()(View* view) const { delete view; }
};

template <class View> constexpr bool Writable = std::is_same_v<View, ImageView<2, char>>;

template <class View>
std::shared_ptr<View> make(const PixelStorage& storage, PixelFormat format, const Size& size, const py::object& data) {
    auto view = std::make_unique<View>();
    view->storage = storage;
    view->format = format;
    view->pixel_size = described(format).bytes;
    if (size[0] < 0 || size[1] < 0) throw py::value_error("an image has no negative size");
    view->size = size;
    if (data.is_none()) return view;

    if (!PyObject_CheckBuffer(data.ptr()))
        throw py::type_error("image data must be None or support the buffer protocol");
    auto buffer = std::make_shared<convert::Buffer>(data.ptr(), PyBUF_STRIDES | (Writable<View> ? PyBUF_WRITABLE : 0));
    if (!buffer->valid) throw py::error_already_set();
    if (!PyBuffer_IsContiguous(&buffer->view, 'C')) throw py::buffer_error("image data must be C-contiguous");
    const Bytes needed = required_bytes(storage, view->pixel_size, size);
    const std::size_t given = std::size_t(buffer->view.len);
    if (given < needed)
        throw py::value_error(
            "image data too short: " + std::to_string(size[0]) + "x" + std::to_string(size[1]) + " pixels of " +
            described(format).name + " with rows aligned to " + std::to_string(storage.alignment) + " bytes need " +
            std::to_string(std::size_t(std::min<Bytes>(needed, SIZE_MAX))) + " bytes, got " + std::to_string(given));
    typedef decltype(View().data.data) Pointer;
    view->data.data = static_cast<Pointer>(buffer->view.buf);
    view->data.size = given;
    return std::shared_ptr<View>(view.release(), Release{std::move(buffer)});
}

template <class View> void bind(py::module_& m, const char* name, const char* doc) {
    py::class_<View, std::shared_ptr<View>>(m, name, doc)
        .def(py::init(&make<View>), py::arg("storage"), py::arg("format"), py::arg("size"),
             py::arg("data") = py::none())
        .def(py::init([](PixelFormat format, const Size& size, const py::object& data) {
                 return make<View>(PixelStorage(), format, size, data);
             }),
             py::arg("format"), py::arg("size"), py::arg("data") = py::none())
        .def_property_readonly("storage", [](const View& v) { return v.storage; })
        .def_property_readonly("format", [](const View& v) { return v.format; })
        .def_property_readonly("pixel_size", [](const View& v) { return v.pixel_size; })
        .def_property_readonly("size", [](const View& v) { return Size(v.size[0], v.size[1]); })
        .def_property_readonly(
            "data",
            [](const View& v) {
                const auto bytes = py::ssize_t(v.data.size);
                if constexpr (Writable<View>)
                    return py::memoryview::from_memory(static_cast<void*>(v.data.data), bytes);
                else
                    return py::memoryview::from_memory(static_cast<const void*>(v.data.data), bytes);
            },
            py::keep_alive<0, 1>(), "The bytes looked at; empty without data")
        .def_property_readonly(
            "owner",
            [](const std::shared_ptr<View>& v) -> py::object {
                const Release* release = std::get_deleter<Release>(v);
                return release ? py::reinterpret_borrow<py::object>(release->buffer->view.obj) : py::none();
            },
            "The object whose memory is looked at");
}

}  // namespace

void bindings::images(py::module_& m) {
    py::enum_<PixelFormat> formats(m, "PixelFormat", "Layout of one pixel");
    for (const Format& format : Formats) formats.value(format.name, format.value);
    m.def(
        "pixel_format_size", [](PixelFormat format) { return described(format).bytes; }, "Bytes of one pixel",
        py::arg("format"));

    auto at_least = [](Int value, Int least, const char* what) {
        if (value < least) throw py::value_error(std::string(what) + " must be at least " + std::to_string(least));
        return value;
    };
    py::class_<PixelStorage>(m, "PixelStorage", "How rows of pixels lie in memory")
        .def(py::init<>())
        .def_property(
            "alignment", [](const PixelStorage& s) { return s.alignment; },
            [](PixelStorage& s, Int bytes) {
                if (bytes != 1 && bytes != 2 && bytes != 4 && bytes != 8)
                    throw py::value_error("alignment must be 1, 2, 4 or 8");
                s.alignment = bytes;
            })
        .def_property(
            "row_length", [](const PixelStorage& s) { return s.row_length; },
            [at_least](PixelStorage& s, Int pixels) { s.row_length = at_least(pixels, 0, "row_length"); })
        .def_property(
            "image_height", [](const PixelStorage& s) { return s.image_height; },
            [at_least](PixelStorage& s, Int rows) { s.image_height = at_least(rows, 0, "image_height"); })
        .def_property(
            "skip", [](const PixelStorage& s) { return s.skip; },
            [at_least](PixelStorage& s, const Math::Vector3<Int>& skip) {
                for (std::size_t i = 0; i < 3; ++i) at_least(skip[i], 0, "skip");
                s.skip = skip;
            });

    bind<ImageView<2, const char>>(m, "ImageView2D", "Read-only view on the pixels of a buffer");
    bind<ImageView<2, char>>(m, "MutableImageView2D", "Writable view on the pixels of a buffer");
}
