# What `cmake --install` puts where: the command, both libraries, the public header, the bundled recipes, the Lua
# annotations for editors, deployrun.pc, and the CMake package with the targets
#
#   deployrun::deployrun  the shared library
#   deployrun::static     the static library, with find_package(deployrun COMPONENTS static)

include(CMakePackageConfigHelpers)

set(package_dir "${CMAKE_INSTALL_LIBDIR}/cmake/deployrun")
set(data_dir "${CMAKE_INSTALL_DATADIR}/deployrun")
set(made_dir "${PROJECT_BINARY_DIR}/generated/install")

install(TARGETS deployrun deployrun-shared EXPORT deployrunTargets INCLUDES DESTINATION "${CMAKE_INSTALL_INCLUDEDIR}")
install(TARGETS deployrun-static EXPORT deployrunStaticTargets INCLUDES DESTINATION "${CMAKE_INSTALL_INCLUDEDIR}")
install(FILES runtime/include/deployrun.h DESTINATION "${CMAKE_INSTALL_INCLUDEDIR}")
install(DIRECTORY recipes/ DESTINATION "${data_dir}/recipes" FILES_MATCHING PATTERN "*.lua")
install(DIRECTORY bindings/meta/ DESTINATION "${data_dir}/meta" FILES_MATCHING PATTERN "*.lua")

# The build tree has the shape of an installed one, so that build/*/bin/deployrun finds ../share/deployrun/recipes.
file(MAKE_DIRECTORY "${PROJECT_BINARY_DIR}/share/deployrun")
file(CREATE_LINK "${PROJECT_SOURCE_DIR}/recipes" "${PROJECT_BINARY_DIR}/share/deployrun/recipes" SYMBOLIC)
file(CREATE_LINK "${PROJECT_SOURCE_DIR}/bindings/meta" "${PROJECT_BINARY_DIR}/share/deployrun/meta" SYMBOLIC)

# The CMake package. The static library needs the dependencies again, so the files that find them go with it.
foreach(name IN ITEMS dependency ${deployrun_dependencies})
  install(FILES "vendor/${name}.cmake" DESTINATION "${package_dir}/vendor")
endforeach()
install(EXPORT deployrunTargets NAMESPACE deployrun:: DESTINATION "${package_dir}")
install(EXPORT deployrunStaticTargets NAMESPACE deployrun:: DESTINATION "${package_dir}")
write_basic_package_version_file("${made_dir}/deployrunConfigVersion.cmake" COMPATIBILITY SameMinorVersion)
file(WRITE "${made_dir}/deployrunConfig.cmake.in" [[
@PACKAGE_INIT@

include("${CMAKE_CURRENT_LIST_DIR}/deployrunTargets.cmake")
if("static" IN_LIST deployrun_FIND_COMPONENTS)
  include("${CMAKE_CURRENT_LIST_DIR}/vendor/dependency.cmake")
  foreach(name IN ITEMS @dependencies@)
    include("${CMAKE_CURRENT_LIST_DIR}/vendor/${name}.cmake")
  endforeach()
  deployrun_missing_dependencies(deployrun_missing)
  if(deployrun_missing)
    set(deployrun_FOUND FALSE)
    set(deployrun_NOT_FOUND_MESSAGE "the static library needs\n  ${deployrun_missing}")
    return()
  endif()
  include("${CMAKE_CURRENT_LIST_DIR}/deployrunStaticTargets.cmake")
  set(deployrun_static_FOUND TRUE)
endif()
check_required_components(deployrun)
]])
list(JOIN deployrun_dependencies " " dependencies)
configure_package_config_file("${made_dir}/deployrunConfig.cmake.in" "${made_dir}/deployrunConfig.cmake"
  INSTALL_DESTINATION "${package_dir}")
install(FILES "${made_dir}/deployrunConfig.cmake" "${made_dir}/deployrunConfigVersion.cmake"
  DESTINATION "${package_dir}")

# pkg-config. The prefix is relative to the file, so that the installed tree can be moved.
set(modules "")
set(libraries "")
foreach(name IN LISTS deployrun_dependencies)
  if(deployrun_${name}_module)
    string(APPEND modules " ${deployrun_${name}_module}")
  else()
    string(APPEND libraries " -l${deployrun_${name}_library}")
  endif()
endforeach()
file(RELATIVE_PATH up "${CMAKE_INSTALL_FULL_LIBDIR}/pkgconfig" "${CMAKE_INSTALL_PREFIX}")
file(CONFIGURE OUTPUT "${made_dir}/deployrun.pc" @ONLY CONTENT [[
prefix=${pcfiledir}/@up@
libdir=${prefix}/@CMAKE_INSTALL_LIBDIR@
includedir=${prefix}/@CMAKE_INSTALL_INCLUDEDIR@

Name: deployrun
Description: @PROJECT_DESCRIPTION@
Version: @PROJECT_VERSION@
Requires.private:@modules@
Libs: -L${libdir} -ldeployrun
Libs.private:@libraries@ -lm
Cflags: -I${includedir}
]])
install(FILES "${made_dir}/deployrun.pc" DESTINATION "${CMAKE_INSTALL_LIBDIR}/pkgconfig")
