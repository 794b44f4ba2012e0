"""The image formats that are read, and the file suffixes that they use. Imports nothing heavy."""

#: Pillow's names of the formats that are read, the most common first. No other decoder of Pillow runs: EPS starts
#: another program, and a file that is named `.jpg` can have any content.
FORMATS = (
    "JPEG",
    "PNG",
    "WEBP",
    "TIFF",
    "AVIF",
    "MPO",
    "BMP",
    "GIF",
    "JPEG2000",
    "PPM",
    "TGA",
    "DIB",
    "PSD",
    "QOI",
    "SGI",
    "PCX",
    "DDS",
    "SUN",
    # These two need a plugin, such as pillow-heif, that the program has registered with Pillow.
    "HEIF",
    "JXL",
)

#: Formats of JPEG data. Pillow decodes them at a reduced scale. An MPO file begins with its main image.
JPEG_FORMATS = ("JPEG", "MPO")

#: Suffix of the files of Insta360 cameras: JPEG data, two fisheye circles.
DUAL_FISHEYE_SUFFIX = ".insp"

#: Suffixes of files in these formats, in lower case. The formats of plugins are not included.
SUFFIXES = frozenset(
    {
        *(".jpg", ".jpeg", ".jpe", ".jfif", ".mpo", DUAL_FISHEYE_SUFFIX),
        *(".png", ".apng", ".webp", ".tif", ".tiff", ".avif", ".avifs", ".gif", ".bmp", ".dib"),
        *(".jp2", ".j2k", ".jpc", ".jpf", ".jpx", ".j2c"),
        *(".ppm", ".pgm", ".pbm", ".pnm", ".pfm", ".tga", ".icb", ".vda", ".vst"),
        *(".psd", ".qoi", ".sgi", ".bw", ".rgb", ".rgba", ".pcx", ".dds", ".ras"),
    }
)
