// Compares a screenshot with its stored image, in a browser, so that no library has to decode images. Both are blurred, because another
// version of Chromium draws the edges of letters differently. Returns the place and size of the largest difference of a blurred channel
// (0 to 255), and the pixels of the screenshot and of the differences, which are red where they are larger than `tolerance`.
async ({ actual, stored, radius, tolerance }) => {
  const decode = async (png) => {
    const bytes = Uint8Array.from(atob(png), (letter) => letter.charCodeAt(0));
    const bitmap = await createImageBitmap(new Blob([bytes], { type: "image/png" }));
    const context = new OffscreenCanvas(bitmap.width, bitmap.height).getContext("2d");
    context.drawImage(bitmap, 0, 0);
    return context.getImageData(0, 0, bitmap.width, bitmap.height);
  };
  const encode = (data) => {
    let text = "";
    for (let at = 0; at < data.length; at += 4) text += String.fromCharCode(data[at], data[at + 1], data[at + 2]);
    return btoa(text);
  };
  // Returns the mean of one channel of `one - other` in the square around each pixel, from sums of all pixels above and to the left.
  const blur = (one, other, width, height, channel) => {
    const row = width + 1;
    const sums = new Float64Array(row * (height + 1));
    for (let y = 0; y < height; y += 1) {
      let sum = 0;
      for (let x = 0; x < width; x += 1) {
        const at = (y * width + x) * 4 + channel;
        sum += one[at] - other[at];
        sums[(y + 1) * row + x + 1] = sums[y * row + x + 1] + sum;
      }
    }
    const means = new Float32Array(width * height);
    for (let y = 0; y < height; y += 1) {
      const [top, bottom] = [Math.max(0, y - radius), Math.min(height, y + radius + 1)];
      for (let x = 0; x < width; x += 1) {
        const left = Math.max(0, x - radius);
        const right = Math.min(width, x + radius + 1);
        const sum = sums[bottom * row + right] - sums[top * row + right] - sums[bottom * row + left] + sums[top * row + left];
        means[y * width + x] = sum / ((bottom - top) * (right - left));
      }
    }
    return means;
  };
  const image = await decode(actual);
  const { width, height } = image;
  const result = { width, height, before: null, worst: 0, x: 0, y: 0 };
  if (stored !== null) {
    const other = await decode(stored);
    const lines = Math.min(height, other.height);
    result.before = [other.width, other.height];
    const channels = other.width === width ? [0, 1, 2].map((channel) => blur(image.data, other.data, width, lines, channel)) : [[]];
    const changes = channels[0].map((value, at) => Math.max(...channels.map((channel) => Math.abs(channel[at]))));
    changes.forEach((change, at) => {
      if (change > result.worst) Object.assign(result, { worst: change, x: at % width, y: Math.floor(at / width) });
    });
    if (result.worst <= tolerance && other.width === width && other.height === height) return result;
    result.pixels = encode(image.data);
    changes.forEach((change, at) => { if (change > tolerance) image.data.set([255, 0, 0], at * 4); });
    return { ...result, difference: encode(image.data) };
  }
  return { ...result, pixels: encode(image.data) };
}
