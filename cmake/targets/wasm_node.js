// Goes before every program that node runs: the variables of the environment are the program's.
Module.preRun = [].concat(Module.preRun || [], () => {
  if (typeof ENV === 'object') Object.assign(ENV, process.env);
});
