"""The image formats that are read, and the file suffixes that they use. Imports nothing heavy."""

from importlib.util import find_spec

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
    # These two need an extra, or a plugin that the program has registered with Pillow.
    "HEIF",
    "JXL",
)

#: Formats of JPEG data. Pillow decodes them at a reduced scale. An MPO file begins with its main image.
JPEG_FORMATS = ("JPEG", "MPO")

#: Suffix of the files of Insta360 cameras: JPEG data, two fisheye circles.
DUAL_FISHEYE_SUFFIX = ".insp"

#: Suffixes of the formats of extras, for each library.
_HEIF_SUFFIXES = (".heic", ".heif", ".hif")
_SUFFIXES_OF_EXTRAS = {"pi_heif": _HEIF_SUFFIXES, "pillow_heif": _HEIF_SUFFIXES, "imagecodecs": (".jxl",)}

#: Suffixes of files in these formats, in lower case. Those of extras are included if their library is installed.
SUFFIXES = frozenset(
    {
        *(".jpg", ".jpeg", ".jpe", ".jfif", ".mpo", DUAL_FISHEYE_SUFFIX),
        *(".png", ".apng", ".webp", ".tif", ".tiff", ".avif", ".avifs", ".gif", ".bmp", ".dib"),
        *(".jp2", ".j2k", ".jpc", ".jpf", ".jpx", ".j2c"),
        *(".ppm", ".pgm", ".pbm", ".pnm", ".pfm", ".tga", ".icb", ".vda", ".vst"),
        *(suffix for library, names in _SUFFIXES_OF_EXTRAS.items() if find_spec(library) for suffix in names),
        *(".psd", ".qoi", ".sgi", ".bw", ".rgb", ".rgba", ".pcx", ".dds", ".ras"),
    }
)
