#!/usr/bin/env python3
"""The gallery in a real Chromium, clicked through; a line of TAP for each thing that is looked at.

    gallery.py URL KEYED_URL KEY SCREENSHOT

URL: a gallery with a batch "moving" in work, a failed job, and a hostile file name.  KEYED_URL:
one that asks for KEY.  Commands on standard output ("do: stop") are for the test that runs this;
it answers each with a line.
"""
import sys

from webdriver import Browser, WebDriverError

URL, KEYED_URL, KEY, SCREENSHOT = sys.argv[1:5]


def ok(good, what):
    print(("ok - " if good else "not ok - ") + what, flush=True)


def seen(browser, what, script, *arguments, seconds=15):
    try:
        ok(browser.wait(script, *arguments, seconds=seconds), what)
    except WebDriverError as error:
        print(f"# {error}".replace("\n", " "))
        ok(False, what)


def ask(command):
    print(f"do: {command}", flush=True)
    sys.stdin.readline()


def contents(browser, css):
    """Also of what is not on the screen now, which innerText leaves out."""
    return browser.execute("return [...document.querySelectorAll(arguments[0])].map(node => node.textContent)", css)


def progress(browser):
    return browser.execute("return Math.max(...[...document.querySelectorAll('[data-batch] .progress')]"
                           ".map(p => p.max > 5 ? p.value : 0))")


with Browser() as browser:
    browser.open(URL)
    seen(browser, "the queue is healthy", "return document.querySelector('#health-status').innerText === 'healthy'")
    seen(browser, "a batch is in work", "return document.querySelector('[data-batch][data-state=PROCESSING] .progress')")
    before = progress(browser)
    ask("go on")
    seen(browser, "its progress moves by itself",
         "return [...document.querySelectorAll('[data-batch] .progress')].some(p => p.max > 5 && p.value > arguments[0])", before)
    seen(browser, "and it ends", "return !document.querySelector('[data-batch][data-state=PROCESSING]')", seconds=40)
    browser.screenshot(SCREENSHOT)
    seen(browser, "thumbnails are there", "return [...document.querySelectorAll('.card[data-state=completed] img')]"
         ".filter(i => i.complete && i.naturalWidth > 0).length >= 3")
    ok(any("%" in text for text in browser.texts("#totals")), "what was saved is told")

    # Failures, with their reasons.
    failed = contents(browser, ".card[data-state=failed]")
    ok(len(failed) == 1 and "404" in failed[0] and "IX005" in failed[0], "a failure has its reason")
    browser.click("#filter-failed")
    seen(browser, "the filter leaves the failed ones", "return [...document.querySelectorAll('.card')]"
         ".filter(c => c.offsetParent !== null).every(c => c.dataset.state === 'failed')")
    browser.click("#filter-all")
    browser.execute("document.querySelector('#search').focus()")
    browser.keys("flower")
    seen(browser, "the search finds by name", "const c = [...document.querySelectorAll('.card')]"
         ".filter(c => c.offsetParent !== null); return c.length > 0 && c.every(c => /flower/i.test(c.textContent))")
    browser.execute("const s = document.querySelector('#search'); s.value = ''; s.dispatchEvent(new Event('input', {bubbles: true}))")
    seen(browser, "and without a text all are there", "return document.querySelectorAll('.card').length >= 13")

    # A name that would be a script.
    ok(any("<img src=x" in text for text in contents(browser, ".card")), "a hostile name is text")
    ok(not browser.execute("return Boolean(window.hacked)"), "and no script")

    # Before and after, by the keyboard alone.
    browser.execute("[...document.querySelectorAll('.card[data-state=completed] .open')].find(b => /dune/.test(b.textContent)).focus()")
    browser.keys("{ENTER}")
    seen(browser, "Enter on a card opens the comparison", "return document.querySelector('#compare').open")
    seen(browser, "both images are shown", "return [...document.querySelectorAll('#frame img')]"
         ".filter(i => i.complete && i.naturalWidth > 0).length === 2")
    ok(browser.execute("return document.querySelector('#compare').contains(document.activeElement)"), "the focus is in it")
    browser.execute("document.querySelector('#compare-slider').focus()")
    where = browser.execute("return document.querySelector('#compare-slider').value")
    browser.keys("{RIGHT}{RIGHT}{RIGHT}")
    ok(browser.execute("return document.querySelector('#compare-slider').value") != where, "arrows move the slider")
    browser.screenshot(SCREENSHOT)
    browser.keys("{ESCAPE}")
    seen(browser, "Escape closes it", "return !document.querySelector('#compare').open")
    ok("dune" in browser.execute("return document.activeElement.innerText"), "and the focus is back where it was")
    browser.click(".card[data-state=completed] .thumb")
    seen(browser, "a click opens it too", "return document.querySelector('#compare').open")
    browser.click("#compare-close")

    # Dark, and on a phone.
    light = browser.execute("return getComputedStyle(document.body).backgroundColor")
    browser.media(prefers_color_scheme="dark")
    ok(browser.execute("return getComputedStyle(document.body).backgroundColor") != light, "dark where it is asked for")
    browser.size(360, 740)
    ok(browser.execute("return document.documentElement.scrollWidth <= 360"), "nothing is wider than a phone")
    browser.click(".card[data-state=completed] .thumb")
    ok(browser.execute("return document.querySelector('#compare').getBoundingClientRect().width <= 360"), "not the comparison either")
    browser.keys("{ESCAPE}")
    browser.size(1280, 900)

    problems = [line for line in browser.log() if "favicon" not in line]
    ok(not problems, "the console is empty")
    for line in problems:
        print("#", line)

    # The server goes and comes back.
    ask("stop")
    seen(browser, "a server that is gone is told of", "return !document.querySelector('#banner').hidden", seconds=20)
    ask("start")
    seen(browser, "and forgotten when it is back", "return document.querySelector('#banner').hidden", seconds=30)

    # A key.
    browser.open(KEYED_URL)
    seen(browser, "where a key is needed it is asked for", "return !document.querySelector('#key-form').hidden")
    browser.execute("document.querySelector('#key-input').focus()")
    browser.keys(KEY + "{ENTER}")
    seen(browser, "and with it there is all", "return document.querySelectorAll('.card').length > 0")
    seen(browser, "sources too", "return document.querySelector('#key-form').hidden")
