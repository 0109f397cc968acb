// Image views as the simulator reads them: a description of pixels and a pointer to somebody else's memory.
#pragma once

#include <cstddef>

#include "math_types.hpp"

namespace Magnum {

enum class PixelFormat : UnsignedInt {
    R8Unorm = 1,
    RG8Unorm,
    RGB8Unorm,
    RGBA8Unorm,
    R8Snorm,
    RG8Snorm,
    RGB8Snorm,
    RGBA8Snorm,
    R8Srgb,
    RG8Srgb,
    RGB8Srgb,
    RGBA8Srgb,
    R8UI,
    RG8UI,
    RGB8UI,
    RGBA8UI,
    R8I,
    RG8I,
    RGB8I,
    RGBA8I,
    R16Unorm,
    RG16Unorm,
    RGB16Unorm,
    RGBA16Unorm,
    R16Snorm,
    RG16Snorm,
    RGB16Snorm,
    RGBA16Snorm,
    R16UI,
    RG16UI,
    RGB16UI,
    RGBA16UI,
    R16I,
    RG16I,
    RGB16I,
    RGBA16I,
    R32UI,
    RG32UI,
    RGB32UI,
    RGBA32UI,
    R32I,
    RG32I,
    RGB32I,
    RGBA32I,
    R16F,
    RG16F,
    RGB16F,
    RGBA16F,
    R32F,
    RG32F,
    RGB32F,
    RGBA32F,
    Depth16Unorm,
    Depth24Unorm,
    Depth32F,
    Stencil8UI,
    Depth16UnormStencil8UI,
    Depth24UnormStencil8UI,
    Depth32FStencil8UI,
};

class PixelStorage {
  public:
    Int row_length = 0;    ///< pixels; 0 takes the image's width
    Int image_height = 0;  ///< rows; 0 takes the image's height
    Math::Vector3<Int> skip;
    Int alignment = 4;  ///< bytes every row starts at a multiple of
};

template <UnsignedInt dimensions, class T> class ImageView {
  public:
    PixelStorage storage;
    PixelFormat format{};
    UnsignedInt format_extra = 0;
    UnsignedInt pixel_size = 0;  ///< bytes
    Math::Vector<dimensions, Int> size;
    struct {
        T* data = nullptr;
        std::size_t size = 0;
    } data;
};

static_assert(sizeof(PixelFormat) == 4 && sizeof(PixelStorage) == 24 && sizeof(ImageView<2, char>) == 64);
static_assert(static_cast<UnsignedInt>(PixelFormat::Depth32FStencil8UI) == 59);

}  // namespace Magnum
