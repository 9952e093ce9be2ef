// One step of dot and product, put into their loops: the element at `#x` times `width` weights at `#w`.
// Widths 4 and 5 load four weights with one bounds check and splat them by shuffles; width 6 has no register
// left for that, and walks its weights one by one.
const low#k = v128.load(#x), high#k = v128.load(#x, 16);
if (width == 4 || width == 5) {
  const v#k = v128.load(#w);
  //@ for i in 0..3
  const w#k#i = v128.shuffle<f32>(v#k, v#k, #i, #i, #i, #i);
  s#i = #add(w#k#i, low#k, s#i);
  t#i = #add(w#k#i, high#k, t#i);
  //@ end i
  if (width == 5) {
    const w#k4 = v128.load32_splat(#w, 16);
    s4 = #add(w#k4, low#k, s4);
    t4 = #add(w#k4, high#k, t4);
  }
  #w += width * 4;
} else {
  //@ for i in 0..5
  if (width > #i) {
    const w#k#i = v128.load32_splat(#w);
    #w += 4;
    s#i = #add(w#k#i, low#k, s#i);
    t#i = #add(w#k#i, high#k, t#i);
  }
  //@ end i
}
#x += ELEMENT_BYTES;
