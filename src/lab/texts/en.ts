/** The lab's texts in English. */

/** See the file; a stop of the tour says where it is, what to know, and what to do there. */
export const EN = {
  title: "LeNet lab",
  lead: "Train a convolutional network here, look inside it, take it home.",
  language: "Language",
  tour: "Guided tour",
  privacy: "Nothing leaves this computer.",

  data: "Images",
  dataNames: {
    "sample": "Fashion-MNIST, a sample",
    "fashion-mnist": "Fashion-MNIST, all of it",
    "mnist": "MNIST, digits",
    "own": "my own pictures",
  } as Record<string, string>,
  dataFacts: (train: string, test: string, shape: string, classes: number) =>
    `${train} to train on, ${test} to test on; ${shape}, ${classes} classes`,
  loading: (percent: number) => `Loading images: ${percent}%`,
  standardize: "Standardise pixels",
  standardizeHint: "mean 0, deviation 1",

  network: "Network",
  zoo: "Begin with",
  ownModel: "my own",
  emptyModel: "empty",
  layer: "Layer",
  output: "Output",
  parameters: "Params",
  macs: "Multiply-adds",
  sees: "Sees",
  total: "in all",
  addLayer: "Add a layer",
  add: "Add",
  moveUp: (name: string) => `Move ${name} up`,
  moveDown: (name: string) => `Move ${name} down`,
  remove: (name: string) => `Remove ${name}`,
  noFields: "Nothing to set.",
  doesNotFit: "Does not fit: ",
  field: (name: string, layer: string) => `${name} of ${layer}`,

  training: "Training",
  start: "Train",
  goOn: "Go on",
  pause: "Pause",
  step: "One step",
  reset: "Reset",
  resetHint: "new weights; this run stays below",
  learningRate: "Learning rate",
  optimizer: "Optimiser",
  batchSize: "Batch size",
  epochs: "Epochs",
  schedule: "Schedule",
  schedules: {
    "constant": "constant",
    "cosine": "cosine",
    "step": "in steps",
    "one-cycle": "one cycle",
  } as Record<string, string>,
  warmup: "Warm-up",
  labelSmoothing: "Label smoothing",
  seed: "Seed",
  engine: "Engine",
  threads: "Threads",
  allThreads: "all",
  oneThread: "One thread: this server does not isolate the page.",
  measure: "Measure all",
  perSecond: (rate: string) => `${rate} images/s`,
  cannotRun: "cannot run here",
  settings: "Settings",
  loss: "Loss",
  accuracy: "Accuracy",
  train: "train",
  test: "test",
  epoch: "epoch",
  progress: (epoch: string, step: string) => `epoch ${epoch}, step ${step}`,
  states: {
    loading: "Getting ready",
    ready: "Ready",
    running: "Training",
    paused: "Paused",
    finished: "Finished",
    failed: "Stopped",
  } as Record<string, string>,
  diverged:
    "The loss became infinite: training has diverged. Reset, and try a smaller learning rate.",
  fit: {
    none: "",
    under:
      "Train and test are alike and both still poor: it underfits. Train longer or enlarge the network.",
    good: "Train and test go together: it generalises.",
    over:
      "Train is far better than test: it overfits. More images or a smaller network would help.",
  },
  runs: "Earlier runs",
  noRuns: "Reset keeps a run here, to compare the next with.",
  show: (name: string) => `Show ${name}`,
  restore: "Use again",
  forget: (name: string) => `Forget ${name}`,
  link: "Copy link",
  copied: "Copied",

  inside: "Look inside",
  mistakes: "Mistakes",
  own: "Own pictures",
  home: "Take home",

  picture: "Picture",
  fromTest: "test image",
  fromTrain: "training image",
  drawing: "Draw",
  openFile: "Open a picture",
  previous: "Previous",
  next: "Next",
  random: "Any",
  clear: "Clear",
  board: "Drawing board",
  boardHelp:
    "Without a mouse: arrow keys move the pen, with Shift further; the space bar puts it down and lifts it.",
  asTaken: "The picture as the network takes it",
  says: "The network says",
  truth: "truth",
  logit: "logit",
  probability: "softmax",
  lossIs: (p: string, loss: string) => `loss = −ln ${p} = ${loss}`,
  maps: (layer: string) => `Maps of ${layer}`,
  kernels: (layer: string) => `Kernels of ${layer}: a column for each output, a row for each input`,
  kernelsShort: "kernels",
  hint: "Point at a number in a map to see how it is made; click to hold it. Arrow keys move.",
  held: "held; click again to let go",
  place: (channel: number, row: number, column: number) =>
    `channel ${channel}, row ${row}, column ${column}`,
  unit: (n: number) => `unit ${n}`,
  patch: "input",
  kernel: "kernel",
  products: "products",
  ofChannel: (n: number) => `channel ${n}`,
  padding: "padding",
  fieldIs: (height: number, width: number) => `It sees ${height} × ${width} pixels of the picture.`,
  rules: {
    products:
      "Each number of the window times the weight at its place, all added up, plus the bias:",
    mean: "The mean of the window:",
    max: "The largest of the window:",
    add: "The sum of both ways:",
    apply: "The function of one number:",
    copy: "The same number, in another order:",
  },
  bias: "bias",
  rest: (count: number) => `${count} more`,

  confusion: "What is taken for what",
  confusionHelp:
    "Rows are the truth, columns what the network says. Choose a cell to see its images.",
  cell: (truth: string, said: string, count: number) => `${truth} taken for ${said}: ${count}`,
  mostWrong: "Most wrong",
  mostWrongHelp: "The test images with the highest loss. Choose one to look inside.",
  assess: "Test now",
  noAssessment: "Train first, at least one epoch.",
  correctOf: (right: string, all: string, percent: string) =>
    `${right} of ${all} right: ${percent}`,
  showing: (shown: number, all: number) => `${shown} of ${all}`,

  ownLead:
    "Make your own set: a class for each thing to tell apart, twenty pictures or more of each. Drop a folder with a folder for each class, or fill classes one by one.",
  drop: "Drop pictures or folders here",
  chooseFolder: "Choose a folder",
  className: "Class",
  newClass: "Name of a class",
  addClass: "Add class",
  addFiles: "Add pictures",
  addDrawing: "Add drawing",
  addPhoto: "Add photo",
  camera: "Camera",
  cameraOff: "Stop camera",
  noCamera: (reason: string) => `No camera: ${reason}`,
  reading: (done: string, total: string) => `Reading ${done} of ${total}`,
  refused: (count: number, names: string) => `${count} files hold no picture: ${names}`,
  count: (n: string) => `${n} pictures`,
  size: "Size",
  colour: "Colour",
  useOwn: "Train on these",
  tooFew: "It takes two classes of two pictures each.",

  files: "Files",
  fileNames: {
    safetensors: ["safetensors", "PyTorch and this project"],
    onnx: ["ONNX", "ONNX Runtime and many others"],
    tfjs: ["LayersModel", "TensorFlow.js, two files"],
    html: ["HTML page", "draw and classify, without a server"],
    start: ["Start weights", "the network before its first step"],
  } as Record<string, readonly [string, string]>,
  saved: (names: string) => `Saved ${names}`,
  code: "The same experiment as code",
  codeNames: {
    typescript: "TypeScript",
    command: "Command line",
    pytorch: "PyTorch",
  } as Record<string, string>,
  copy: "Copy",
  codeNote: {
    typescript: "Gives this page's numbers, with the same engine and threads to the last bit.",
    command: "Gives this page's numbers, with the same engine and threads to the last bit.",
    pytorch:
      "Trains the same network by the same recipe; given model.safetensors, it tells the accuracy of this page's network.",
  } as Record<string, string>,
  ownCode: "Of your own pictures, put the folder that you dropped in place of photos/.",

  back: "Back",
  done: "Done",
  close: "Close the tour",
  stopOf: (n: number, all: number) => `${n} of ${all}`,
  stops: [
    {
      title: "A picture is numbers",
      text:
        "A network gets a picture as a grid of numbers: 28 rows and columns, black 0, white 1. A fully connected layer would need a weight for each pair of a pixel and an output, and would have to learn an edge anew at each place. A convolution uses one small kernel everywhere.",
      task:
        "Draw something on the board, or step through the test images, and see the maps change.",
    },
    {
      title: "Why convolution",
      text:
        "Each number in the maps of the first convolution is a window of the picture times a kernel, added up: a cross-correlation. The kernel answers strongly where the picture looks like it.",
      task: "Point at a number in the maps of conv1 and read window, kernel, products and sum.",
    },
    {
      title: "Padding and stride",
      text:
        "A window of k pixels fits ⌊(size + 2 · padding − k) / stride⌋ + 1 times. With kernel 5 and padding 2 the 28 stays; without padding it becomes 24. Point at a map's corner: the zeros around the picture are the padding.",
      task: "Open conv1 in the network and set its padding to 0: see all shapes below change.",
    },
    {
      title: "Channels",
      text:
        "conv2 reads all maps of conv1 at once: for each of its outputs it has a kernel for each input map, and adds up what all of them give. More channels are more features, and more multiplications.",
      task: "Double outChannels of conv1 and watch the multiply-adds of conv2.",
    },
    {
      title: "Pooling",
      text:
        "A pool keeps one number of each 2 × 2 window: its mean or its largest. It quarters the work, doubles the step of all that follows, and makes small shifts matter less.",
      task: "Point at a number after a pool and see which four numbers it comes from.",
    },
    {
      title: "Receptive field",
      text:
        "A number deep in the network sees a large part of the picture: each layer adds (k − 1) times the product of all strides before it. The frame on the picture shows it; the column “Sees” counts it.",
      task: "Point at a number in the maps of conv2: it sees 14 × 14 pixels.",
    },
    {
      title: "LeNet, and training it",
      text:
        "Convolutions and pools find features, three linear layers judge them. Training takes a batch of pictures, measures the loss, and moves every weight a little against its gradient. An epoch is all pictures once.",
      task: "Press Train, and bring the test accuracy to 0.80.",
    },
    {
      title: "Why the loss can exceed 1",
      text:
        "The loss of a picture is −ln p, where p is what softmax gives its true class. Guessing among ten classes costs ln 10 = 2.303. A probability ends at 1, a loss does not end: who is sure and wrong pays most.",
      task: "Under Mistakes, find an image with a loss above 1, and look inside it.",
    },
    {
      title: "Learning rate",
      text:
        "Too small, and nothing moves; too large, and the loss jumps or explodes. The slider works while it trains.",
      task:
        "While it trains, set the learning rate ten times higher, then lower, and watch the loss.",
    },
    {
      title: "Under- and overfitting",
      text:
        "A network that is too small, or trained too little, is poor on train and test alike: bias. One that has learnt its training images by heart is good on these alone: variance. The gap between the curves shows it.",
      task:
        "Begin with mlp, train it for twenty epochs or more, and compare its curves with LeNet's.",
    },
  ],
};

/** What every language has. */
export type Texts = typeof EN;
