package main

import (
	"fmt"
	"image/color"
	"io"
	"math"
	"time"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
	"gonum.org/v1/plot/vg/vgsvg"

	"github.com/ssmresume/ssmresume/study/internal/figure"
)

// The policies, in the order of policies.
var looks = []figure.Look{
	{Color: color.RGBA{R: 0x00, G: 0x5a, B: 0xb5, A: 0xff}, Shape: draw.CircleGlyph{}, Width: vg.Points(2.4)},
	{Color: color.RGBA{R: 0x60, G: 0x60, B: 0x60, A: 0xff}, Shape: draw.CrossGlyph{}, Dashes: []vg.Length{vg.Points(1.5), vg.Points(2.5)}, Width: vg.Points(1.6)},
	{Color: color.RGBA{R: 0xd5, G: 0x5e, B: 0x00, A: 0xff}, Shape: draw.TriangleGlyph{}, Dashes: []vg.Length{vg.Points(6), vg.Points(3)}, Width: vg.Points(1.4)},
	{Color: color.Black, Shape: draw.BoxGlyph{}, Dashes: []vg.Length{vg.Points(8), vg.Points(2), vg.Points(1.5), vg.Points(2)}, Width: vg.Points(1.4)},
	{Color: color.RGBA{R: 0x9c, G: 0x27, B: 0xb0, A: 0xff}, Shape: draw.RingGlyph{}, Dashes: []vg.Length{vg.Points(1.5), vg.Points(1.5)}, Width: vg.Points(2)},
}

// The outage plot's vertical scale, in seconds; its top row is for sessions that
// are lost.
const (
	leastShown  = 0.1
	longest     = 3600
	lostRow     = 9000
	lostNote    = 42000
	shownHeight = 90000
)

// panels are the outages that are drawn. Look-ups of 5 s are in the tables.
var panels = [][]outageKind{{refused, silent}, {unanswered, unansweredSamePath}, {slow10, lapsed}}

// outagePlot has a panel for each kind of outage: the median until a session is
// back, with a bar up to the 95 % quantile.
func outagePlot(cells []cell) figure.Content {
	return func(w io.Writer) error {
		const width, height, head = 620, 1080, 52 // two columns: it is to be read on a telephone too
		canvas := vgsvg.New(vg.Points(width), vg.Points(height))
		dc := draw.New(canvas)
		figure.Sheet(dc)
		rows := make([][]*plot.Plot, len(panels))
		for i := range panels {
			for _, kind := range panels[i] {
				panel, err := outagePanel(cells, kind)
				if err != nil {
					return err
				}
				rows[i] = append(rows[i], panel)
			}
		}
		for _, panel := range rows[len(rows)-1] {
			panel.X.Label.Text = "length of the outage"
		}
		tiles := draw.Tiles{Rows: len(rows), Cols: len(rows[0]), PadX: vg.Points(14), PadY: vg.Points(14), PadTop: vg.Points(head + 4), PadBottom: vg.Points(8), PadLeft: vg.Points(26), PadRight: vg.Points(10)}
		for i, row := range plot.Align(rows, tiles, dc) {
			for j, c := range row {
				rows[i][j].Draw(c)
			}
		}
		// Align would make room for a label in the wrong place on a log scale.
		label := rows[0][0].Y.Label.TextStyle
		label.Rotation = math.Pi / 2
		label.XAlign, label.YAlign = draw.XCenter, draw.YTop
		label.Font.Size = 11 // there is room where a reader's font is wider
		dc.FillText(label, vg.Point{X: vg.Points(8), Y: vg.Points(height-head) / 2}, "from the outage's end to the session's return: median, bar up to the 95th percentile")
		for i, policy := range policies() {
			legend := figure.NewPlot().Legend
			legend.Left, legend.Top = true, true
			line := &plotter.Line{LineStyle: looks[i].Line()}
			points := &plotter.Scatter{GlyphStyle: looks[i].Glyph()}
			legend.Add(policy.name, line, points)
			legend.Draw(draw.Crop(dc, vg.Points(44+float64(i%3)*186), 0, 0, -vg.Points(12+float64(i/3)*20)))
		}
		return figure.WriteSVG(w, canvas)
	}
}

func outagePanel(cells []cell, kind outageKind) (*plot.Plot, error) {
	panel := figure.NewPlot()
	panel.Title.Text = string(kind)
	panel.X.Scale, panel.Y.Scale = plot.LogScale{}, plot.LogScale{}
	var ticks plot.ConstantTicks
	for _, c := range cells {
		if c.kind == kind && c.policy.name == ours {
			ticks = append(ticks, plot.Tick{Value: c.length.Seconds(), Label: lengthText(c.length)})
		}
	}
	panel.X.Tick.Marker = thinned(ticks)
	panel.Y.Tick.Marker = plot.ConstantTicks{
		{Value: 0.1, Label: "0.1 s"}, {Value: 1, Label: "1 s"}, {Value: 10, Label: "10 s"},
		{Value: 60, Label: "1 min"}, {Value: 600, Label: "10 min"}, {Value: 3600, Label: "1 h"}, {Value: lostRow, Label: "lost"},
	}
	panel.Add(figure.Grid())
	limit, err := plotter.NewLine(plotter.XYs{{X: 0.6, Y: longest}, {X: 3000, Y: longest}})
	if err != nil {
		return nil, err
	}
	limit.Color = color.Gray{0x66}
	panel.Add(limit)
	note, err := plotter.NewLabels(plotter.XYLabels{XYs: plotter.XYs{{X: 0.68, Y: lostNote}}, Labels: []string{"sessions lost: all, or the share that is given"}})
	if err != nil {
		return nil, err
	}
	note.TextStyle[0].Font.Size = 9.5
	note.TextStyle[0].Color = color.Gray{0x44}
	panel.Add(note)
	for i, policy := range policies() {
		apart := math.Pow(1.16, float64(i)-2) // so that no marker hides another
		var run plotter.XYs
		bars := struct {
			plotter.XYs
			plotter.YErrors
		}{}
		var gone plotter.XYLabels
		flush := func() error {
			if len(run) == 0 {
				return nil
			}
			line, err := plotter.NewLine(run)
			if err != nil {
				return err
			}
			line.LineStyle = looks[i].Line()
			panel.Add(line)
			run = nil
			return nil
		}
		for _, c := range cells {
			if c.kind != kind || c.policy.name != policy.name {
				continue
			}
			x := c.length.Seconds() * apart
			if n := c.fake.outcomes[lost]; n > 0 {
				gone.XYs = append(gone.XYs, plotter.XY{X: x, Y: lostRow})
				label := ""
				if n < c.fake.n {
					label = fmt.Sprintf("%.0f %%", 100*float64(n)/float64(c.fake.n))
				}
				gone.Labels = append(gone.Labels, label)
			}
			if c.fake.outcomes[resumed] == 0 {
				if err := flush(); err != nil {
					return nil, err
				}
				continue
			}
			median, p95 := max(c.fake.median.Seconds(), leastShown), max(c.fake.p95.Seconds(), leastShown)
			run = append(run, plotter.XY{X: x, Y: median})
			bars.XYs = append(bars.XYs, plotter.XY{X: x, Y: median})
			bars.YErrors = append(bars.YErrors, struct{ Low, High float64 }{0, p95 - median})
		}
		if err := flush(); err != nil {
			return nil, err
		}
		if len(bars.XYs) > 0 {
			b, err := plotter.NewYErrorBars(bars)
			if err != nil {
				return nil, err
			}
			b.Color, b.Width, b.CapWidth = looks[i].Color, vg.Points(1), vg.Points(4)
			panel.Add(b)
		}
		for _, xys := range []plotter.XYs{bars.XYs, gone.XYs} {
			if len(xys) == 0 {
				continue
			}
			s, err := plotter.NewScatter(xys)
			if err != nil {
				return nil, err
			}
			s.GlyphStyle = looks[i].Glyph()
			panel.Add(s)
		}
		for j := range gone.XYs {
			label, err := plotter.NewLabels(plotter.XYLabels{XYs: gone.XYs[j : j+1], Labels: gone.Labels[j : j+1]})
			if err != nil {
				return nil, err
			}
			label.TextStyle[0].Font.Size = 9
			label.TextStyle[0].Color = looks[i].Color
			label.TextStyle[0].XAlign = draw.XCenter
			label.Offset = vg.Point{Y: vg.Points(5 + float64((i+j)%2)*10)} // neighbours would touch
			panel.Add(label)
		}
	}
	panel.X.Min, panel.X.Max = 0.6, 3000
	panel.Y.Min, panel.Y.Max = leastShown*0.9, shownHeight
	return panel, nil
}

// thinned leaves labels out where two would touch.
func thinned(ticks plot.ConstantTicks) plot.ConstantTicks {
	last := 0.0
	for i := range ticks {
		if ticks[i].Value < 3.5*last {
			ticks[i].Label = ""
			continue
		}
		last = ticks[i].Value
	}
	return ticks
}

// herdPlot shows the share of the largest herd that is back over time.
func herdPlot(herds []herd) figure.Content {
	return func(w io.Writer) error {
		of := largest(herds)
		p := figure.NewPlot()
		p.Title.Text = fmt.Sprintf("%s sessions in %d accounts lose their channel in the same second", thousands(of[0].model.sessions), herdAccounts)
		p.X.Label.Text = fmt.Sprintf("seconds since then (the service answers %d calls a second for each account)", herdRate)
		p.Y.Label.Text = "share of the sessions that is back, %"
		p.Add(figure.Grid())
		var end time.Duration
		for _, h := range of {
			end = max(end, h.model.back[len(h.model.back)-1])
		}
		p.X.Min, p.X.Max, p.Y.Min, p.Y.Max = 0, end.Seconds()*1.04, 0, 101
		step := 30.0
		if p.X.Max < 2*step {
			step = math.Ceil(p.X.Max / 10)
		}
		p.X.Tick.Marker, p.Y.Tick.Marker = figure.Every(step), figure.Every(20)
		legend := figure.NewPlot().Legend
		legend.Left, legend.Padding = true, vg.Points(4)
		for i, h := range of {
			line, err := plotter.NewLine(backCurve(h.model, p.X.Max))
			if err != nil {
				return err
			}
			line.LineStyle = looks[i].Line()
			if h.policy.name == ours {
				line.Width = vg.Points(5.5) // another lies on it
			} else { // in grey, too, it shows where it lies on another
				edge := *line
				edge.Color, edge.Width = color.White, line.Width+vg.Points(1.6)
				p.Add(&edge)
			}
			p.Add(line)
			fate := "none lost"
			if h.model.lost > 0 {
				fate = percent(h.model.lost, h.model.sessions) + " of the sessions lost"
			}
			legend.Add(fmt.Sprintf("%s: %.1f calls a session, %s", h.policy.name, h.model.callsEach(), fate), line)
		}
		const width, height = 720, 400
		canvas := vgsvg.New(vg.Points(width), vg.Points(height))
		dc := draw.New(canvas)
		figure.Sheet(dc)
		p.Draw(draw.Crop(dc, vg.Points(8), -vg.Points(14), vg.Points(6), -vg.Points(8)))
		at := draw.Crop(dc, vg.Points(width*0.36), -vg.Points(24), vg.Points(172), 0)
		box := legend.Rectangle(at)
		dc.FillPolygon(color.White, []vg.Point{{X: at.Min.X - 6, Y: box.Min.Y - 6}, {X: at.Max.X, Y: box.Min.Y - 6}, {X: at.Max.X, Y: box.Max.Y + 6}, {X: at.Min.X - 6, Y: box.Max.Y + 6}})
		legend.Draw(at)
		return figure.WriteSVG(w, canvas)
	}
}

// backCurve has as many points as can be seen.
func backCurve(h herdResult, end float64) plotter.XYs {
	xys := plotter.XYs{{}}
	n := len(h.back)
	for i := range curvePoints {
		if k := (i + 1) * n / curvePoints; k > 0 {
			xys = append(xys, plotter.XY{X: h.back[k-1].Seconds(), Y: 100 * float64(k) / float64(h.sessions)})
		}
	}
	return append(xys, plotter.XY{X: end, Y: 100 * float64(n) / float64(h.sessions)})
}
