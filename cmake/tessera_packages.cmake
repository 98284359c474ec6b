# Third-party packages: found where they are installed, downloaded only when asked to.
#
#   tessera_package(<package> <target> <oldest version> <Debian package>)
#
# Packages are looked up without a version: the version files of Eigen and xsimd refuse every
# other major version, newer ones included; the oldest version is compared here instead.
# With TESSERA_FETCH=ON a missing package is downloaded in the version that Debian 12 has, which
# is the one the tests run with; each archive is pinned by its SHA-256.
include(FetchContent)
if(TESSERA_FETCH)
  enable_language(C)  # zlib's
endif()

set(CMAKE_FIND_PACKAGE_TARGETS_GLOBAL ON)  # a project that adds us as a subfolder links them too

# Archive, hash, folder of the headers in it.
set(tessera_fetch_Eigen3
  https://gitlab.com/libeigen/eigen/-/archive/3.4.0/eigen-3.4.0.tar.bz2
  b4c198460eba6f28d34894e3a5710998818515104d6e74e5cc331ce31e46e626 .)
set(tessera_fetch_xsimd
  https://github.com/xtensor-stack/xsimd/archive/8.1.0.tar.gz
  d52551360d37709675237d2a0418e28f70995b5b7cdad7c674626bcfbbf48328 include)
set(tessera_fetch_nlohmann_json
  https://github.com/nlohmann/json/archive/v3.11.2.tar.gz
  d69f9deb6a75e2580465c6c4c5111b89c4dc2fa94e3a85fcd2ffcd9a143d9273 include)
set(tessera_fetch_Catch2
  https://github.com/catchorg/Catch2/archive/v2.13.10.tar.gz
  d54a712b7b1d7708bc7a819a8e6e47b2fde9536f487b89ccbca295072a7d9943 single_include)
set(tessera_fetch_ZLIB
  https://github.com/madler/zlib/releases/download/v1.2.13/zlib-1.2.13.tar.gz
  b3a24de97a8fdbc835b9833169501030b8977031bcb54b3b3ac13740f846ab30 .)

macro(tessera_package package target oldest debian)
  if(NOT TARGET ${target})
    find_package(${package} QUIET)
    if(TARGET ${package} AND NOT TARGET ${target})
      # xsimd 8.1 has no namespace, and Debian's links xtl, which it neither needs nor installs.
      add_library(${target} INTERFACE IMPORTED GLOBAL)
      get_target_property(tessera_include ${package} INTERFACE_INCLUDE_DIRECTORIES)
      target_include_directories(${target} INTERFACE ${tessera_include})
    endif()
    if(TARGET ${target} AND ${package}_VERSION AND ${package}_VERSION VERSION_LESS ${oldest})
      message(FATAL_ERROR "tessera: found ${package} ${${package}_VERSION} in ${${package}_DIR}, "
        "expected at least ${oldest}; install a newer one (Debian 12: ${debian}) and name its "
        "folder in CMAKE_PREFIX_PATH")
    endif()
    if(NOT TARGET ${target} AND TESSERA_FETCH)
      tessera_fetch(${package} ${target} ${tessera_fetch_${package}})
    endif()
    if(NOT TARGET ${target})
      message(FATAL_ERROR "tessera: ${package} ${oldest} or newer was not found; "
        "install it (Debian: apt-get install ${debian}) "
        "or configure with -DTESSERA_FETCH=ON, which downloads a pinned version")
    endif()
  endif()
endmacro()

# Unpacks an archive and makes its target by hand: none of these packages needs its own build.
function(tessera_fetch package target url hash headers)
  message(STATUS "tessera: downloading ${package} from ${url}")
  FetchContent_Declare(tessera_${package} URL ${url} URL_HASH SHA256=${hash}
    SOURCE_SUBDIR only-unpack)  # a folder that does not exist: unpacked, not configured
  FetchContent_MakeAvailable(tessera_${package})
  FetchContent_GetProperties(tessera_${package} SOURCE_DIR source)
  if(package STREQUAL ZLIB)
    file(GLOB sources ${source}/*.c)
    add_library(tessera_${package} STATIC ${sources})
    target_compile_definitions(tessera_${package} PRIVATE HAVE_UNISTD_H)
    target_include_directories(tessera_${package} SYSTEM PUBLIC ${source})
  else()
    add_library(tessera_${package} INTERFACE)
    target_include_directories(tessera_${package} SYSTEM INTERFACE ${source}/${headers})
  endif()
  add_library(${target} ALIAS tessera_${package})
endfunction()

# stb, for examples that read or write pictures: the target stb::stb where it is found. It comes
# without a package file, and nothing of the library needs it, so a miss is no error.
function(tessera_find_stb)
  find_path(TESSERA_STB_FOLDER stb/stb_image.h DOC "Folder that holds stb/stb_image.h")
  if(TESSERA_STB_FOLDER AND NOT TARGET stb::stb)
    add_library(stb::stb INTERFACE IMPORTED GLOBAL)
    target_include_directories(stb::stb INTERFACE ${TESSERA_STB_FOLDER})
  endif()
endfunction()
