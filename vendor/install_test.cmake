# The test of install.cmake: installs the build tree BUILD into a folder of its own and uses what is there as another
# project would. Run by ctest: cmake -DBUILD= -DGENERATOR= -DCOMPILER= -DLIBDIR= -P install_test.cmake

set(work "${BUILD}/tests/run/unit.install")
set(prefix "${work}/prefix with space")
file(REMOVE_RECURSE "${work}/program" "${prefix}")

# must(COMMAND...): run it in the test's folder; a failure ends the test with all it said.
function(must)
  execute_process(COMMAND ${ARGV} WORKING_DIRECTORY "${work}" RESULT_VARIABLE status
    OUTPUT_VARIABLE output ERROR_VARIABLE output)
  if(NOT status EQUAL 0)
    list(JOIN ARGV " " command)
    message(FATAL_ERROR "${command}: ${status}\n${output}")
  endif()
  set(output "${output}" PARENT_SCOPE)
endfunction()

must("${CMAKE_COMMAND}" --install "${BUILD}" --prefix "${prefix}")
foreach(file IN ITEMS bin/deployrun include/deployrun.h ${LIBDIR}/libdeployrun.a ${LIBDIR}/libdeployrun.so.0
        share/deployrun/recipes)
  if(NOT EXISTS "${prefix}/${file}")
    message(FATAL_ERROR "not installed: ${file}")
  endif()
endforeach()

# Only dr_* is visible to a program that links the shared library.
must(nm -D --defined-only "${prefix}/${LIBDIR}/libdeployrun.so")
string(REGEX REPLACE "[^\n]* (dr_[a-z][a-z0-9_]*|_init|_fini)(\n|$)" "" others "${output}")
if(NOT others STREQUAL "")
  message(FATAL_ERROR "libdeployrun.so shows more than the public interface:\n${others}")
endif()

file(WRITE "${work}/program/main.c" [[
#include <deployrun.h>

#include <stdio.h>

int main(void) {
  dr_options options = DR_OPTIONS_INIT;
  dr_err err = DR_ERR_INIT;
  dr_runtime *runtime = NULL;
  int status = dr_runtime_new(&runtime, &options, &err);
  if (status != DR_OK) fprintf(stderr, "%s: %s\n", err.code, err.message);
  dr_runtime_free(runtime);
  dr_err_clear(&err);
  return status;
}
]])
file(WRITE "${work}/program/CMakeLists.txt" [[
cmake_minimum_required(VERSION 3.22)
project(program LANGUAGES C)
find_package(deployrun 0.1 REQUIRED COMPONENTS static)
add_executable(with-shared main.c)
target_link_libraries(with-shared PRIVATE deployrun::deployrun)
add_executable(with-static main.c)
target_link_libraries(with-static PRIVATE deployrun::static)
]])
file(STRINGS "${BUILD}/CMakeCache.txt" sanitizer REGEX "^DEPLOYRUN_SANITIZE:STRING=.+")
set(flags "")
if(sanitizer MATCHES "=address")
  set(flags -fsanitize=address,undefined)
elseif(sanitizer MATCHES "=thread")
  set(flags -fsanitize=thread)
endif()

must("${CMAKE_COMMAND}" -S program -B program/build -G "${GENERATOR}"
  "-DCMAKE_PREFIX_PATH=${prefix}" "-DCMAKE_C_COMPILER=${COMPILER}" "-DCMAKE_C_FLAGS=${flags}")
must("${CMAKE_COMMAND}" --build program/build)
must(program/build/with-shared)
must(program/build/with-static)

set(ENV{PKG_CONFIG_PATH} "${prefix}/${LIBDIR}/pkgconfig")
set(ENV{LD_LIBRARY_PATH} "${prefix}/${LIBDIR}")
must(sh -c "eval \"$1\" $2 program/main.c -o with-pkg-config \"$(pkg-config --cflags --libs deployrun)\""
  - "${COMPILER}" "${flags}")
must("${work}/with-pkg-config")
must(pkg-config --static --libs deployrun)
must("${prefix}/bin/deployrun" --version)
file(REMOVE_RECURSE "${prefix}")
