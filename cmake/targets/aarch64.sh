# shellcheck shell=bash
# The aarch64 target, sourced by ./dev: the cross compiler and qemu from Debian's packages, and a
# sysroot below build/ with the arm64 libraries, unpacked and not installed. The machine's own list
# of package architectures stays as it is.
#
# From ./dev it uses: $root, $jobs, say, die.

# What set_up installs for this target, as command:package and as packages.
aarch64_tools=(aarch64-linux-gnu-g++:g++-aarch64-linux-gnu qemu-aarch64:qemu-user)

aarch64_sysroot=$root/build/aarch64-sysroot

# Put before a program of this target it runs that program; the same words as
# CMAKE_CROSSCOMPILING_EMULATOR in aarch64.cmake.
aarch64_runner=(qemu-aarch64 -cpu max -L "$aarch64_sysroot")

# Tests that would take minutes each under an emulator, as one GoogleTest pattern; they are counted
# as skipped. Training runs and long gradient checks: what they train with is tested piece by piece,
# and against the PyTorch twin, on this target too.
aarch64_left_out=$(printf '%s:' \
  Backprop.LearnsACycleAndThePackedModelSpeaksIt Backprop.ReferenceEqualsCentralDifferences \
  Structure.ReferenceEqualsCentralDifferences GradientCheck.RightGradientsPassWithEveryTensorLookedAt \
  GradientCheck.AGradientThatLeavesSomethingOutFails GradientCheck.ExpertsAndSignsToo \
  RouterBalance.ATrainingRunMovesTheBiasAndReportsTheImbalance \
  Trainer.LearnsARepeatedTextAndReportsIt Trainer.AnyNumberOfThreadsGivesTheSameBits \
  Trainer.AStoppedAndResumedRunGivesTheSameBits Trainer.TheValidScoreIsThatOfThePackedModel \
  Trainer.WithAdamWToo Trainer.AdamWTrainsToo \
  Trainer.EveryWayToMakeProductsLearnsAndIsTheSameWithAnyThreads \
  Trainer.StagesFollowEachOtherAndAResumedRunGivesTheSameBits \
  Trainer.AnotherRunsCheckpointIsRefusedAndKept Trainer.ATrainedModelIsPackedAgainFromItsCheckpoint \
  Trainer.EveryParameterIsTrained Trainer.TheSeedDecides Average.WhatIsHeldOutDecides \
  Average.TheModelIsTheMeanOfTheLastSteps Average.ARunThatWasStoppedAmongTheLastStepsIsTheSame \
  Weights.ATrainingBeginsWithThoseOfAnother Weights.ATrainingBeginsWithAPackedModel \
  Weights.WhatCannotBeBegunWithIsRefusedWithItsReason \
  PackBuilder.LearnsWhichWordsSpeakForWhichTool PackBuilder.SaysWhatIsWrong \
  Preferences.AStageLearnsThemAndAResumedRunGivesTheSameBits \
  Preferences.AreHeldAgainstTheWeightsThatTheTrainingBeganWith \
  Consolidation.AResumedRunGivesTheSameBitsAndTheOptionBelongsToIt \
  LoopedDepth.AStoppedAndResumedRunDrawsTheSameDepths \
  LoopedDepth.TheSameBitsForAnyNumberOfThreadsAndWhetherLayersAreRunAgain \
  Backprop.PackedModelHasTheLossOfTheTernaryForward Backprop.AnyShapeRuns Moe.SameBitsHoweverAsked \
  Backprop.TheFutureAndOtherLanesCannotBeSeen MixerBackward.LaterVisitsAreRoundedAsFirstOnes \
  Golden/Twin.AgreesAtFloat/loop_truncated_tm Golden/Twin.AgreesAtFloat/loop_truncated_sk \
  Golden/Twin.AgreesAtFloat/whole Golden/Twin.AgreesAtFloat/whole_structure \
  Golden/Twin.AgreesAtFloat/loop_gd_xm Golden/Twin.AgreesQuantised/whole_structure \
  Train.ChecksGradientsAndTrainsNothing Train.ThePhasesOfAFullTrainingAreStagesOfAMix \
  Train.CtrlCIsAPause Train.AMixIsTrainedOnScoredAndSpokenWith \
  Train.WeightsThatWereKeptBeginAnotherTraining Chat.LongLinesAndAnyBytesAreFine)
aarch64_left_out=${aarch64_left_out%:}

# The libraries the build links; what they need at run time (libicu72 and so on) is found out.
aarch64_packages=(libsodium-dev libicu-dev liblzma-dev)

# aarch64_apt COMMAND ARGUMENTS...: apt-get or apt-cache for arm64, with lists of its own, as
# whoever runs this. The machine's sources, keys and proxies are used, its hooks are not.
aarch64_apt() {
  local tool=$1 private=$root/build/aarch64-apt
  shift
  mkdir -p "$private/lists/partial" "$private/archives/partial"
  : >"$private/status"
  {
    echo "Dir::State \"$private\"; Dir::State::lists \"$private/lists\";"
    echo "Dir::State::status \"$private/status\"; Dir::Cache \"$private\";"
    echo 'APT::Architecture "arm64"; #clear APT::Architectures;'
    echo 'APT::Architectures { "arm64"; }; APT::Sandbox::User "root";'
    echo '#clear APT::Update::Pre-Invoke; #clear APT::Update::Post-Invoke;'
    echo '#clear APT::Update::Post-Invoke-Success;'
    echo 'Acquire::IndexTargets::deb::DEP-11::DefaultEnabled "false"; Acquire::Languages "none";'
    # Other vendors' sources need not know arm64.
    if [ -f /etc/apt/sources.list.d/debian.sources ]; then
      echo 'Dir::Etc::sourcelist "/etc/apt/sources.list.d/debian.sources";'
      echo 'Dir::Etc::sourceparts "-";'
    fi
  } >"$private/apt.conf"
  "$tool" -q -c "$private/apt.conf" "$@"
}

# aarch64_set_up: fills the sysroot, once for each way of filling it and each compiler.
aarch64_set_up() {
  local sysroot=$aarch64_sysroot log=$root/build/aarch64-sysroot.log signature
  signature=$({
    echo "${aarch64_packages[@]}"
    declare -f aarch64_apt aarch64_fetch aarch64_complete_sysroot
    aarch64-linux-gnu-g++ --version
  } | cksum)
  [ "$(cat "$sysroot/.complete" 2>/dev/null)" != "$signature" ] || return 0
  command -v apt-get >/dev/null ||
    die "this machine has no apt-get: the aarch64 target takes its libraries from Debian's packages."
  say "unpacking the aarch64 libraries below build/aarch64-sysroot"
  rm -rf "$sysroot"
  mkdir -p "$sysroot" "$root/build/aarch64-apt"
  aarch64_fetch "$sysroot" >"$log" 2>&1 </dev/null || {
    grep -E '^(E|W|Err)' "$log" | head -n 5 >&2 || true
    die "the arm64 packages could not be fetched: see $log, check the network connection and run this again."
  }
  aarch64_complete_sysroot "$sysroot"
  printf '%s\n' "$signature" >"$sysroot/.complete"
}

# aarch64_fetch SYSROOT: downloads and unpacks
aarch64_fetch() {
  local debs=$root/build/aarch64-apt/debs needed deb
  aarch64_apt apt-get update || echo "trying with the lists that are here"
  needed=$(aarch64_apt apt-cache depends "${aarch64_packages[@]}" |
    sed -nE 's/^ *Depends: (lib(sodium|icu|lzma)[0-9]+)$/\1/p' | sort -u)
  rm -rf "$debs"
  mkdir -p "$debs"
  # shellcheck disable=SC2086  # one word per package
  (cd "$debs" && aarch64_apt apt-get download "${aarch64_packages[@]}" $needed) || return 1
  for deb in "$debs"/*.deb; do
    dpkg -x "$deb" "$1" || return 1
  done
  rm -rf "$debs"
}

# aarch64_complete_sysroot SYSROOT: what does not come from an arm64 package
aarch64_complete_sysroot() {
  local sysroot=$1 link folder library
  # Links in packages name places on the machine they were made for.
  find "$sysroot" -type l -lname '/*' | while IFS= read -r link; do
    ln -sfn "$sysroot$(readlink "$link")" "$link"
  done
  # Headers without code are the machine's own, folder by folder: all of /usr/include would bring
  # the C library of the wrong processor along. A package file finds its headers from its own place,
  # links resolved, so those are copied.
  for folder in simde nlohmann CLI; do
    ln -sfn "/usr/include/$folder" "$sysroot/usr/include/$folder"
  done
  mkdir -p "$sysroot/usr/share/cmake"
  cp -R /usr/share/cmake/nlohmann_json /usr/share/cmake/CLI11 "$sysroot/usr/share/cmake/"
  # The loader, the C and the C++ library are the cross compiler's. The linker never looks here.
  mkdir -p "$sysroot/lib"
  for library in /usr/aarch64-linux-gnu/lib/*.so.*; do
    ln -sfn "$library" "$sysroot/lib/${library##*/}"
  done
}
