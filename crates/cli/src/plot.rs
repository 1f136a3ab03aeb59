//! A series and its scores on the terminal, as they arrive.

use std::collections::VecDeque;
use std::io::{self, IsTerminal as _};
use std::time::{Duration, Instant};

use glassbox::interrupt::Interrupt;
use glassbox_engine::text::one_line;
use glassbox_pipeline::live::{Kind as LineKind, Line, Tally};
use glassbox_pipeline::rows::{Reason, Verdict};
use ratatui::crossterm::event::{self, Event, KeyCode, KeyEventKind, KeyModifiers};
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Color, Style};
use ratatui::symbols::Marker;
use ratatui::text::Line as Text;
use ratatui::widgets::{Axis, Block, Chart, Dataset, GraphType, Paragraph};
use ratatui::{DefaultTerminal, Frame};

use crate::failure::{Failure, Kind};

/// Rows that are shown: two for each column of dots of a wide terminal.
const ROWS: usize = 800;
/// Anomalous rows and notices that are listed.
const LISTED: usize = 6;
/// How often the plot is drawn, at most.
const DRAW_AFTER: Duration = Duration::from_millis(100);
/// How often the keys are looked at once the input has ended.
const LOOK_AGAIN: Duration = Duration::from_millis(50);

/// The terminal, which is given back when this is dropped.
pub(crate) struct Plot {
    terminal: DefaultTerminal,
    view: View,
    drawn: Instant,
    /// Rows when it was drawn.
    rows: u64,
}

impl Plot {
    /// Takes the terminal.
    pub(crate) fn open(name: &str, columns: &[String]) -> Result<Self, Failure> {
        if !io::stdout().is_terminal() {
            let problem = "--plot needs a terminal, and standard output is none: leave it out, or do not redirect the output";
            return Err(Failure::new(Kind::Input, problem));
        }
        let terminal = ratatui::try_init().map_err(failed)?;
        Ok(Self { terminal, view: View::new(name, columns), drawn: Instant::now(), rows: 0 })
    }

    /// Takes a line.
    pub(crate) fn line(&mut self, line: &Line<'_>) {
        self.view.line(line);
    }

    /// Takes a notice.
    pub(crate) fn notice(&mut self, notice: &str) {
        self.view.list(format!("! {notice}"));
    }

    /// Draws, if it is time. Returns true if a key asks to end.
    pub(crate) fn show(&mut self, tally: &Tally) -> Result<bool, Failure> {
        let since = self.drawn.elapsed();
        if since >= DRAW_AFTER {
            self.view.rate = (tally.rows - self.rows) as f64 / since.as_secs_f64();
            (self.drawn, self.rows) = (Instant::now(), tally.rows);
            self.draw(tally)?;
        }
        while event::poll(Duration::ZERO).map_err(failed)? {
            if ends(&event::read().map_err(failed)?) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Shows the end of the input until a key or a signal asks to end.
    pub(crate) fn wait(&mut self, tally: &Tally, interrupt: &Interrupt) -> Result<(), Failure> {
        self.view.list("the end of the input; q ends".into());
        self.draw(tally)?;
        while !interrupt.is_requested() && !self.show(tally)? {
            std::thread::sleep(LOOK_AGAIN);
        }
        Ok(())
    }

    fn draw(&mut self, tally: &Tally) -> Result<(), Failure> {
        let view = &self.view;
        self.terminal.draw(|frame| view.draw(frame, tally)).map(drop).map_err(failed)
    }
}

impl Drop for Plot {
    fn drop(&mut self) {
        ratatui::restore();
    }
}

fn failed(error: io::Error) -> Failure {
    Failure::new(Kind::Output, format_args!("cannot draw on the terminal: {error}"))
}

/// Returns true for q and Ctrl-C, which is a key here and no signal.
fn ends(event: &Event) -> bool {
    let Event::Key(key) = event else { return false };
    let interrupts = key.code == KeyCode::Char('c') && key.modifiers.contains(KeyModifiers::CONTROL);
    key.kind == KeyEventKind::Press && (key.code == KeyCode::Char('q') || interrupts)
}

/// The content of the terminal.
struct View {
    name: String,
    columns: Vec<String>,
    /// The last rows.
    points: VecDeque<Point>,
    /// Number of rows before the first of them.
    gone: usize,
    /// Number of rows with a settled line.
    settled: usize,
    /// The last anomalous rows and notices.
    listed: VecDeque<String>,
    /// Rows a second.
    rate: f64,
}

/// A row.
struct Point {
    values: Vec<f64>,
    live: Option<f64>,
    settled: Option<f64>,
    /// Anomalous by the settled score, or by the live one as long as there is no other.
    anomalous: bool,
}

impl View {
    fn new(name: &str, columns: &[String]) -> Self {
        let plain = |text: &str| one_line(text).up_to(40).to_string();
        Self {
            name: plain(name),
            columns: columns.iter().map(|column| plain(column)).collect(),
            points: VecDeque::with_capacity(ROWS),
            gone: 0,
            settled: 0,
            listed: VecDeque::with_capacity(LISTED),
            rate: 0.0,
        }
    }

    fn line(&mut self, line: &Line<'_>) {
        use Reason::{BackInTime, MissingValue, RepeatedTime};
        // Rows that were left out have no place between the others.
        if let Verdict::Unjudged(MissingValue | RepeatedTime | BackInTime) = line.judged.verdict {
            return;
        }
        let anomalous = matches!(line.judged.verdict, Verdict::Anomalous(_));
        match line.kind {
            LineKind::Live => {
                if self.points.len() == ROWS {
                    self.points.pop_front();
                    self.gone += 1;
                }
                let values = line.values.iter().copied().flatten().collect();
                self.points.push_back(Point { values, live: line.judged.live, settled: None, anomalous });
            }
            LineKind::Settled => {
                let row = self.settled;
                self.settled += 1;
                if let Some(point) = row.checked_sub(self.gone).and_then(|row| self.points.get_mut(row)) {
                    (point.settled, point.anomalous) = (line.judged.score, anomalous);
                }
            }
        }
        if anomalous {
            let score = line.judged.score.or(line.judged.live).unwrap_or_default();
            let (at, kind) = (line.clock.show(line.timestamp), line.kind.name());
            self.list(format!("{at}  {kind} {score:.3}  {}", line.judged.verdict.reason()));
        }
    }

    fn list(&mut self, text: String) {
        if self.listed.len() == LISTED {
            self.listed.pop_front();
        }
        self.listed.push_back(one_line(&text).up_to(200).to_string());
    }

    fn draw(&self, frame: &mut Frame<'_>, tally: &Tally) {
        let charts = self.columns.iter().map(|_| Constraint::Fill(1)).chain([Constraint::Fill(1)]);
        let rest = [Constraint::Length(LISTED as u16 + 1), Constraint::Length(1)];
        let areas = Layout::vertical(charts.chain(rest)).split(frame.area());
        let last = areas.len() - 1;
        for (column, name) in self.columns.iter().enumerate() {
            let of = |all: bool| {
                self.dots(|point| point.values.get(column).copied().filter(|_| all || point.anomalous))
            };
            let title = format!(" {name} ");
            self.chart(
                frame,
                areas[column],
                title,
                None,
                &[(Color::Cyan, of(true)), (Color::Red, of(false))],
            );
        }
        let scores = [
            (Color::Yellow, self.dots(|point| point.live)),
            (Color::Green, self.dots(|point| point.settled)),
        ];
        self.chart(
            frame,
            areas[last - 2],
            " score: live (yellow), settled (green); the threshold is 1 ".into(),
            Some(1.0),
            &scores,
        );
        let listed: Vec<Text<'_>> = self.listed.iter().rev().map(|text| Text::from(text.as_str())).collect();
        let listed = Paragraph::new(listed).block(Block::bordered().title(" last anomalies "));
        frame.render_widget(listed, areas[last - 1]);
        let Tally { rows, live_anomalous, anomalous, normal, unjudged, .. } = tally;
        let status = format!(
            "{}: {rows} rows, {anomalous} anomalous, {normal} normal, {unjudged} not judged, {live_anomalous} anomalous \
             live, {:.0} rows/s   q ends",
            self.name, self.rate
        );
        frame.render_widget(Paragraph::new(status), areas[last]);
    }

    /// A number of each row that has one, by its place.
    fn dots(&self, of: impl Fn(&Point) -> Option<f64>) -> Vec<(f64, f64)> {
        let all = self.points.iter().enumerate();
        all.filter_map(|(row, point)| Some(((self.gone + row) as f64, of(point)?))).collect()
    }

    fn chart(
        &self,
        frame: &mut Frame<'_>,
        area: Rect,
        title: String,
        threshold: Option<f64>,
        sets: &[(Color, Vec<(f64, f64)>)],
    ) {
        let numbers = || sets.iter().flat_map(|(_, dots)| dots).map(|dot| dot.1).chain(threshold);
        let low = numbers().fold(f64::INFINITY, f64::min).min(threshold.map_or(f64::INFINITY, |_| 0.0));
        let high = numbers().fold(f64::NEG_INFINITY, f64::max);
        if low > high {
            frame.render_widget(Block::bordered().title(title), area);
            return;
        }
        let (low, high) = if low < high { (low, high) } else { (low - 1.0, high + 1.0) };
        let (first, end) = (self.gone as f64, (self.gone + ROWS.min(self.points.len()).max(2) - 1) as f64);
        let line = threshold.map(|threshold| [(first, threshold), (end, threshold)]);
        let set = |dots, color, kind| {
            Dataset::default()
                .marker(Marker::Braille)
                .graph_type(kind)
                .style(Style::new().fg(color))
                .data(dots)
        };
        let lines = line.iter().map(|dots| set(&dots[..], Color::DarkGray, GraphType::Line));
        let sets = sets.iter().map(|(color, dots)| {
            let kind = if *color == Color::Red { GraphType::Scatter } else { GraphType::Line };
            set(dots, *color, kind)
        });
        let labels = [low, high].map(|number| format!("{number:.3}"));
        let chart = Chart::new(lines.chain(sets).collect())
            .block(Block::bordered().title(title))
            .legend_position(None)
            .x_axis(Axis::default().bounds([first, end]))
            .y_axis(Axis::default().bounds([low, high]).labels(labels));
        frame.render_widget(chart, area);
    }
}

#[cfg(test)]
mod tests {
    use glassbox_pipeline::rows::{Cause, Judged};
    use glassbox_pipeline::series::Clock;
    use glassbox_pipeline::synthetic::START;
    use ratatui::Terminal;
    use ratatui::backend::TestBackend;

    use super::*;

    fn tell(view: &mut View, kind: LineKind, value: f64, score: Option<f64>, verdict: Verdict) {
        let (score, live) = if kind == LineKind::Live { (None, score) } else { (score, None) };
        let judged = Judged { score, live, shares: vec![], verdict };
        let values = [Some(value)];
        view.line(&Line { kind, timestamp: START, clock: Clock::Local, values: &values, judged: &judged });
    }

    fn drawn(view: &View, tally: &Tally, width: u16, height: u16) -> String {
        let mut terminal = Terminal::new(TestBackend::new(width, height)).expect("a terminal of memory");
        terminal.draw(|frame| view.draw(frame, tally)).expect("a terminal of memory");
        terminal.backend().to_string()
    }

    #[test]
    fn the_series_its_scores_and_the_last_anomalies_are_shown() {
        let mut view = View::new("some.csv", &["load".into()]);
        let empty = drawn(&view, &Tally::default(), 100, 30);
        assert!(empty.contains("load") && empty.contains("some.csv: 0 rows"), "{empty}");
        for row in 0..2000 {
            let value = 7.0 + (f64::from(row) * 0.1).sin();
            let verdict = if row == 1990 { Verdict::Anomalous(Cause::Steps) } else { Verdict::Normal };
            let score = if row == 1990 { 2.5 } else { 0.5 };
            tell(&mut view, LineKind::Live, value, Some(score), verdict);
            if row >= 10 {
                tell(&mut view, LineKind::Settled, value, Some(0.25), Verdict::Normal);
            }
        }
        assert_eq!((view.points.len(), view.gone, view.settled), (ROWS, 2000 - ROWS, 1990));
        assert_eq!(view.points.iter().filter(|point| point.settled.is_some()).count(), ROWS - 10);
        assert_eq!(view.points.iter().filter(|point| point.anomalous).count(), 1);
        view.list("! line 7: missing value\u{1b}[2J".into());
        view.rate = 12.0;
        let tally = Tally { rows: 2000, live_anomalous: 1, normal: 1990, ..Tally::default() };
        let text = drawn(&view, &tally, 100, 30);
        for part in [
            "8.000",
            "6.000",
            "2.500",
            "2014-04-01 00:00:00  live 2.500  steps",
            "line 7: missing value\\u{1b}[2J",
            "some.csv: 2000 rows, 0 anomalous, 1990 normal, 0 not judged, 1 anomalous live, 12 rows/s",
        ] {
            assert!(text.contains(part), "no {part} in\n{text}");
        }
        assert!(text.chars().any(|c| ('\u{2801}'..='\u{28FF}').contains(&c)), "no dots in\n{text}");
    }

    #[test]
    fn any_size_of_a_terminal_is_drawn_on() {
        let mut view = View::new("some.csv", &["a".into(), "b".into(), "c".into()]);
        tell(&mut view, LineKind::Live, 1.0, None, Verdict::Unjudged(Reason::BeforeWindow));
        for (width, height) in [(1, 1), (3, 2), (10, 5), (40, 12), (300, 100)] {
            drawn(&view, &Tally::default(), width, height);
        }
    }

    #[test]
    fn rows_that_were_left_out_are_not_drawn() {
        let mut view = View::new("some.csv", &["a".into()]);
        for kind in [LineKind::Live, LineKind::Settled] {
            tell(&mut view, kind, 1.0, None, Verdict::Unjudged(Reason::RepeatedTime));
        }
        assert_eq!((view.points.len(), view.settled), (0, 0));
    }
}
