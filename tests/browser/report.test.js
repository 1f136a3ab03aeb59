// A page in a real browser, from its file and with the network off: the report of a tutorial, or that of a series of one's
// own.
//
//   node report.test.js REPORT_HTML SCREENSHOT_DIR
//
// Fails on any request, any message on the console, any plot without ink, a slider or a zoom that does nothing, a
// breach of accessibility that axe-core finds, or text that is missing without JavaScript. Leaves screenshots.
// $CHROMIUM names the browser; the default is `chromium`.

import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, statSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { pathToFileURL } from "node:url";
import { execFileSync } from "node:child_process";
import { chromium } from "playwright-core";

const [report, screenshots] = process.argv.slice(2);
if (!report || !screenshots) {
  console.error("usage: node report.test.js REPORT_HTML SCREENSHOT_DIR");
  process.exit(2);
}
const page_url = pathToFileURL(resolve(report)).href;
const axe = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
const executablePath = process.env.CHROMIUM ?? execFileSync("sh", ["-c", "command -v chromium"], { encoding: "utf8" }).trim();
const args = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
  "--disable-component-update", "--disable-sync"];
const DESKTOP = { width: 1280, height: 900 };
// The page of a series of one's own has plots that are linked; the tutorial's has a plot of its anomalous points.
const html = readFileSync(report, "utf8");
const own = html.includes('"linked":["column-');
// That of a training lists no anomalies.
const anomalies = !own || html.includes("data-from=");
const SERIES = own ? "column-0" : "anomalies";
const PHONE = { width: 390, height: 844 };
mkdirSync(screenshots, { recursive: true });

// Opens the report as a person with these settings would, and holds it to silence while `look` looks at it.
async function visit(name, settings, look) {
  const profile = mkdtempSync(join(tmpdir(), "glassbox-browser-"));
  const browser = await chromium.launchPersistentContext(profile, { executablePath, args, headless: true, ...settings });
  try {
    await browser.setOffline(true);
    const page = await browser.newPage();
    const heard = [];
    page.on("console", (message) => heard.push(`console ${message.type()}: ${message.text()}`));
    page.on("pageerror", (error) => heard.push(`error: ${error.stack}`));
    page.on("request", (request) => {
      const url = request.url();
      // The page itself, and what it carries within.
      if (url !== page_url && !url.startsWith("data:")) heard.push(`request: ${url}`);
    });
    await page.goto(page_url, { waitUntil: "load" });
    await look(page);
    assert.deepEqual(heard, [], `${name}: the page is to be silent`);
    console.log(`ok ${name}`);
  } finally {
    await browser.close();
    rmSync(profile, { recursive: true, force: true });
  }
}

async function accessible(page) {
  // Run as a script of the test's own, which the page's policy does not concern.
  await page.evaluate(axe);
  const { violations } = await page.evaluate(() => globalThis.axe.run(document, {
    runOnly: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"],
  }));
  const shown = violations.map((v) => `${v.id}: ${v.help}\n${v.nodes.slice(0, 5).map((n) => `  ${n.target}: ${n.failureSummary}`).join("\n")}`);
  assert.equal(violations.length, 0, shown.join("\n"));
}

// The share of a canvas's pixels that are not blank.
const ink = (canvas) => canvas.evaluate((element) => {
  const { data } = element.getContext("2d").getImageData(0, 0, element.width, element.height);
  let drawn = 0;
  for (let i = 3; i < data.length; i += 4) drawn += data[i] > 0;
  return drawn / (data.length / 4);
});

const pixels = (canvas) => canvas.evaluate((element) => element.toDataURL());

async function everyPlotHasInk(page) {
  const canvases = await page.locator("canvas").all();
  const figures = await page.evaluate(() => globalThis.glassbox.data.figures.map((figure) => figure.id));
  // A canvas for each plot; the explorer has a plot for each column, one of errors, and a heat map for each layer.
  const [columns, layers] = await page.evaluate(() => {
    const { inside } = globalThis.glassbox.data;
    return [inside.columns.length, inside.maps.length];
  });
  const placed = await page.locator("[data-figure] canvas").count();
  assert.ok(placed >= figures.length - 1, `${placed} plots of ${figures.length}`);
  assert.equal(canvases.length, placed + columns + 1 + layers);
  for (const canvas of canvases) assert.ok((await ink(canvas)) > 0.002, "a plot without ink");
  // What is drawn is what was given: every curve has values within the axes of its plot.
  const empty = await page.evaluate(() => [...globalThis.glassbox.plots.values()].filter(({ plot }) => {
    const u = plot.u;
    return !u.series.slice(1).some((_, i) => u.data[i + 1].some((y) => y != null && y >= u.scales.y.min && y <= u.scales.y.max));
  }).length);
  assert.equal(empty, 0, "plots whose values are out of sight");
}

const rangeOf = (page, id) => page.evaluate((id) => {
  const { min, max } = globalThis.glassbox.plots.get(id).plot.u.scales.x;
  return max - min;
}, id);

async function zoomWorks(page) {
  const plot = page.locator(`[data-figure="${SERIES}"]`);
  const range = () => rangeOf(page, SERIES);
  const whole = await range();
  await plot.getByRole("button", { name: "Zoom in" }).click();
  assert.ok((await range()) < 0.6 * whole, "the button zooms in");
  await plot.getByRole("button", { name: "Show all" }).press("Enter");
  assert.equal(await range(), whole, "the keyboard shows all again");
  const over = plot.locator(".u-over");
  await over.scrollIntoViewIfNeeded();
  const box = await over.boundingBox();
  await page.mouse.move(box.x + 0.6 * box.width, box.y + 0.5 * box.height);
  await page.mouse.down();
  await page.mouse.move(box.x + 0.8 * box.width, box.y + 0.5 * box.height, { steps: 5 });
  await page.mouse.up();
  const dragged = (await range()) / whole;
  assert.ok(dragged > 0.15 && dragged < 0.25, `dragging across a fifth shows ${dragged}`);
  // Values under the pointer.
  await page.mouse.move(box.x + 0.5 * box.width, box.y + 0.5 * box.height);
  assert.match(await plot.locator(".u-value").first().textContent(), /^\d{4}-\d\d-\d\d \d\d:\d\d$/);
  await plot.getByRole("button", { name: "Show all" }).click();
}

// A link of the list of anomalies shows the anomaly in all plots of the series, and its window.
async function linksWork(page) {
  const links = await page.locator("a[data-from]").all();
  assert.ok(links.length > 0, "no anomalies");
  const whole = await rangeOf(page, "scores");
  const slider = page.getByRole("slider", { name: "Window" });
  for (const link of links) {
    await link.focus();
    await page.keyboard.press("Enter");
    const [from, to, window] = await link.evaluate(({ dataset }) => [dataset.from, dataset.to, dataset.window].map(Number));
    for (const id of await page.evaluate(() => globalThis.glassbox.data.linked)) {
      const shown = await page.evaluate((id) => {
        const { min, max } = globalThis.glassbox.plots.get(id).plot.u.scales.x;
        return [min, max];
      }, id);
      assert.deepEqual(shown, [from, to], `${id} shows the anomaly`);
    }
    assert.equal(Number(await slider.inputValue()), window, "the slider has its window");
  }
  // What one plot shows, all do.
  await page.locator(`[data-figure="${SERIES}"]`).getByRole("button", { name: "Show all" }).click();
  assert.equal(await rangeOf(page, "scores"), whole);
}

async function slidersWork(page) {
  const slider = page.getByRole("slider", { name: "Window" });
  const [name, says] = [page.locator("#window-name"), page.locator("#window-says")];
  const maps = await page.locator("#explorer-maps canvas").all();
  await slider.fill("0");
  const before = [await name.textContent(), await says.textContent(), await pixels(maps[0])];
  await slider.focus();
  const count = Number(await slider.getAttribute("max"));
  const verdicts = new Set();
  for (let i = 0; i < count; i++) {
    await page.keyboard.press("ArrowRight");
    verdicts.add(await says.locator("b").nth(1).textContent());
  }
  const after = [await name.textContent(), await says.textContent(), await pixels(maps[0])];
  for (let i = 0; i < before.length; i++) assert.notEqual(after[i], before[i], "the window slider changes what is shown");
  assert.ok(verdicts.has("normal") && (verdicts.size > 1) === anomalies, `there are windows of both kinds: ${[...verdicts]}`);

  const step = page.getByRole("slider", { name: "Output step" });
  const [shade, text] = [page.locator(".shade").first(), page.locator("#step-name")];
  const [left, told] = [await shade.evaluate((e) => e.style.left), await text.textContent()];
  await step.focus();
  for (let i = 0; i < 20; i++) await page.keyboard.press("ArrowRight");
  assert.notEqual(await shade.evaluate((e) => e.style.left), left, "the step slider moves the receptive field");
  assert.notEqual(await text.textContent(), told);

  await maps[0].hover();
  assert.match(await page.locator("#map-says").textContent(), /unit \d+, step \d+ of \d+: [\d.]/);
}

// Nothing may be wider than the screen: a phone would have to be pushed sideways.
async function fits(page) {
  const [content, screen] = await page.evaluate(() => [document.documentElement.scrollWidth, innerWidth]);
  assert.ok(content <= screen, `the page is ${content} wide, the screen ${screen}`);
}

async function plainPageIsComplete(page) {
  const stills = await page.locator(".plot .still svg").all();
  assert.ok(stills.length >= (own ? 4 : 9), `${stills.length} pictures`);
  for (const still of stills) {
    assert.ok(await still.isVisible(), "a picture that is hidden");
    assert.ok((await still.getAttribute("aria-label")).length > 40, "a picture without words");
  }
  assert.ok(!(await page.locator("#explorer").isVisible()), "controls that would do nothing");
  const maps = await page.locator("#windows-still img").all();
  assert.ok(maps.length > 0);
  for (const map of maps) assert.ok(await map.isVisible());
}

const size = statSync(report).size;
assert.ok(size < 5_000_000, `the page has ${size} bytes`);

const shot = (page, name, options = {}) => page.screenshot({ path: join(screenshots, `${name}.png`), fullPage: true, ...options });

await visit("desktop, light", { viewport: DESKTOP, colorScheme: "light" }, async (page) => {
  await everyPlotHasInk(page);
  await shot(page, "desktop-light");
  await shot(page, "top", { fullPage: false });
  await zoomWorks(page);
  if (own && anomalies) await linksWork(page);
  await slidersWork(page);
  await fits(page);
  await accessible(page);
  // For the picture the window that fails worst, and a step of its jump.
  const worst = await page.evaluate(() => {
    const errors = globalThis.glassbox.data.inside.windows.map((window) => window.error);
    return errors.indexOf(Math.max(...errors));
  });
  await page.getByRole("slider", { name: "Window" }).fill(String(worst));
  if (!own) await page.getByRole("slider", { name: "Output step" }).fill("180");
  await page.mouse.move(0, 0);
  await page.locator("#explorer").screenshot({ path: join(screenshots, "explorer.png") });
  await page.locator(`[data-figure="${SERIES}"]`).screenshot({ path: join(screenshots, "series.png") });
});
await visit("desktop, dark", { viewport: DESKTOP, colorScheme: "dark" }, async (page) => {
  await everyPlotHasInk(page);
  await shot(page, "desktop-dark");
  await accessible(page);
  // The colours follow when the system's setting changes.
  const canvas = page.locator("[data-figure] canvas").first();
  const dark = await pixels(canvas);
  await page.emulateMedia({ colorScheme: "light" });
  for (let tries = 0; (await pixels(canvas)) === dark; tries++) {
    assert.ok(tries < 100, "the plots keep their dark colours");
    await page.waitForTimeout(50);
  }
});
await visit("phone, light", { viewport: PHONE, deviceScaleFactor: 2, hasTouch: true, isMobile: true, colorScheme: "light" }, async (page) => {
  await everyPlotHasInk(page);
  await fits(page);
  await accessible(page);
  await shot(page, "phone-light");
});
await visit("phone, dark", { viewport: PHONE, deviceScaleFactor: 2, hasTouch: true, isMobile: true, colorScheme: "dark" }, async (page) => {
  await fits(page);
  await accessible(page);
});
await visit("without JavaScript", { viewport: DESKTOP, javaScriptEnabled: false, colorScheme: "light" }, async (page) => {
  await plainPageIsComplete(page);
  await shot(page, "without-javascript");
});
await visit("without JavaScript, phone, dark", { viewport: PHONE, javaScriptEnabled: false, colorScheme: "dark" }, async (page) => {
  await plainPageIsComplete(page);
  await shot(page, "without-javascript-phone-dark");
});
await visit("print", { viewport: DESKTOP, colorScheme: "dark" }, async (page) => {
  await page.pdf({ path: join(screenshots, "print.pdf"), format: "A4" });
});
