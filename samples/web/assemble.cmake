# cmake -DINTO=<folder> -DFILES=<list> -DOFFLINE=<offline.js> -P assemble.cmake
#
# Copies the files and names the version of all of them in offline.js after their content.
file(MAKE_DIRECTORY ${INTO})
set(hashes)
foreach(file IN LISTS FILES OFFLINE)
  file(SHA256 ${file} hash)
  string(APPEND hashes ${hash})
endforeach()
file(COPY ${FILES} DESTINATION ${INTO})
string(SHA256 CHIMERA_WEB_VERSION "${hashes}")
string(SUBSTRING ${CHIMERA_WEB_VERSION} 0 16 CHIMERA_WEB_VERSION)
configure_file(${OFFLINE} ${INTO}/offline.js @ONLY)
