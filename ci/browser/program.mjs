// Starts and ends the program under test, and a browser that may connect only to that program.
import { spawn } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { chromium } from "playwright-core";

const PROGRAM = resolve("target/debug/sweepctl");
const ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--disable-background-networking", "--disable-component-update", "--disable-sync"];

/// Runs the program until it has said what `until` waits for on either of its pipes.
function begin(args, folder, until) {
    const child = spawn(PROGRAM, args, { cwd: folder, stdio: ["ignore", "pipe", "pipe"] });
    let said = "";
    const ready = new Promise((done, failed) => {
        const hear = chunk => {
            said += chunk;
            const found = said.match(until);
            if (found) done(found);
        };
        child.stdout.on("data", hear);
        child.stderr.on("data", hear);
        child.on("exit", code => failed(new Error(`${args.join(" ")} left with ${code}: ${said}`)));
    });
    return { child, ready, said: () => said };
}

async function end(child) {
    if (child.exitCode !== null || child.signalCode !== null) return;
    const gone = new Promise(done => child.once("exit", done));
    child.kill("SIGTERM");
    const timer = setTimeout(() => child.kill("SIGKILL"), 10000);
    await gone;
    clearTimeout(timer);
}

/// A coordinator with a store of its own.
export class Program {
    static async start() {
        const program = new Program();
        program.folder = mkdtempSync(join(tmpdir(), "sweep-pages-"));
        await program.coordinate("127.0.0.1:0", "127.0.0.1:0");
        return program;
    }

    async coordinate(grpc, http) {
        const args = ["coordinator", "--store", join(this.folder, "sweep.db"), "--listen", grpc, "--listen-http", http];
        const { child, ready } = begin(args, this.folder, /ready grpc=(\S+) http=(\S+)/);
        this.coordinator = child;
        [, this.grpc, this.http] = await ready;
        this.base = `http://${this.http}`;
    }

    async work(name) {
        const args = ["worker", "--coordinator", `http://${this.grpc}`, "--name", name, "--slots", "1", "--listen-http", "off", "--state-dir", join(this.folder, name), "--cache-dir", join(this.folder, "cache")];
        const { child, ready } = begin(args, this.folder, /registered session/);
        this.worker = child;
        await ready;
    }

    /// Submits a spec and gives the sweep's number.
    async submit(spec) {
        const path = join(this.folder, "spec.yaml");
        writeFileSync(path, spec);
        const child = spawn(PROGRAM, ["submit", path, "--coordinator", `http://${this.grpc}`, "--output", "json"], { cwd: this.folder });
        let out = "", talk = "";
        child.stdout.on("data", chunk => { out += chunk; });
        child.stderr.on("data", chunk => { talk += chunk; });
        const code = await new Promise(done => child.on("exit", done));
        if (code !== 0) throw new Error(`submit left with ${code}: ${talk}`);
        const answer = JSON.parse(out);
        return (answer.sweep ?? answer).id;
    }

    /// The report of a sweep, as a page.
    async report(sweep) {
        const path = join(this.folder, "report.html");
        const child = spawn(PROGRAM, ["report", String(sweep), "--coordinator", `http://${this.grpc}`, "--out", path], { cwd: this.folder, stdio: "ignore" });
        const code = await new Promise(done => child.on("exit", done));
        if (code !== 0) throw new Error(`report left with ${code}`);
        return readFileSync(path, "utf8");
    }

    /// Kills the coordinator, as the plug does.
    async kill() {
        const gone = new Promise(done => this.coordinator.once("exit", done));
        this.coordinator.kill("SIGKILL");
        await gone;
    }

    async again() {
        await this.coordinate(this.grpc, this.http);
    }

    async end() {
        if (this.worker) await end(this.worker);
        await end(this.coordinator);
        rmSync(this.folder, { recursive: true, force: true });
    }
}

/// A browser, with everything that it complains of and every request that would leave this coordinator.
export class Browser {
    static async start(base) {
        const browser = new Browser();
        browser.base = base;
        browser.complaints = [];
        browser.outside = [];
        browser.expected = [];
        browser.chromium = await chromium.launch({ executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium", args: ARGUMENTS });
        return browser;
    }

    async page(options = {}) {
        const context = await this.chromium.newContext({ viewport: { width: 1280, height: 900 }, reducedMotion: "reduce", ...options });
        await context.route("**/*", route => {
            const url = route.request().url();
            if (url.startsWith(this.base) || url.startsWith("data:")) return route.continue();
            this.outside.push(url);
            return route.abort();
        });
        const page = await context.newPage();
        page.on("console", message => {
            if (message.type() === "error" && !this.expected.some(one => one.test(message.text()))) this.complaints.push(`${page.url()}: ${message.text()}`);
        });
        page.on("pageerror", error => this.complaints.push(`${page.url()}: ${error.message}`));
        page.setDefaultTimeout(30000);
        return page;
    }

    async end() {
        await this.chromium.close();
    }
}
