package main

import (
	"fmt"
	"image/color"
	"io"
	"math"
	"slices"
	"time"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
	"gonum.org/v1/plot/vg/vgsvg"

	"github.com/ssmresume/ssmresume/study/internal/figure"
)

var looks = map[string]figure.Look{
	ourSession: {Color: color.Black, Shape: draw.BoxGlyph{}, Dashes: []vg.Length{vg.Points(8), vg.Points(2), vg.Points(1.5), vg.Points(2)}, Width: vg.Points(1.4)},
	ourPlugin:  {Color: color.RGBA{R: 0x00, G: 0x5a, B: 0xb5, A: 0xff}, Shape: draw.CircleGlyph{}, Width: vg.Points(2.4)},
	realPlugin: {Color: color.RGBA{R: 0xd5, G: 0x5e, B: 0x00, A: 0xff}, Shape: draw.TriangleGlyph{}, Dashes: []vg.Length{vg.Points(6), vg.Points(3)}, Width: vg.Points(1.8)},
}

// typical returns, of the courses of one kind, the one in the middle.
func typical(courses []course) (middle []course) {
	type place struct{ direction, subject string }
	at := func(c course) place { return place{c.direction, c.subject} }
	for _, p := range unique(courses, at) {
		same := of(courses, func(c course) bool { return at(c) == p }, func(c course) course { return c })
		slices.SortFunc(same, func(a, b course) int { return int(a.arrived() - b.arrived()) })
		middle = append(middle, same[len(same)/2])
	}
	return middle
}

// coursePlot has a panel for each direction: bytes that arrived over time.
func coursePlot(courses []course) figure.Content {
	return func(w io.Writer) error {
		const width, height, head = 860, 360, 30
		canvas := vgsvg.New(vg.Points(width), vg.Points(height))
		dc := draw.New(canvas)
		figure.Sheet(dc)
		middle := typical(courses)
		var row []*plot.Plot
		for _, direction := range []string{upload, download} {
			panel, err := coursePanel(of(middle, func(c course) bool { return c.direction == direction }, func(c course) course { return c }))
			if err != nil {
				return err
			}
			row = append(row, panel)
		}
		row[0].Y.Label.Text = "MB that arrived"
		tiles := draw.Tiles{Rows: 1, Cols: len(row), PadX: vg.Points(18), PadTop: vg.Points(head + 4), PadBottom: vg.Points(8), PadLeft: vg.Points(8), PadRight: vg.Points(12)}
		for i, c := range plot.Align([][]*plot.Plot{row}, tiles, dc)[0] {
			row[i].Draw(c)
		}
		for i, subject := range []string{ourPlugin, realPlugin} {
			legend := figure.NewPlot().Legend
			legend.Left, legend.Top = true, true
			legend.Add(subject, &plotter.Line{LineStyle: looks[subject].Line()})
			legend.Draw(draw.Crop(dc, vg.Points(190+float64(i)*150), 0, 0, -vg.Points(10)))
		}
		legend := figure.NewPlot().Legend
		legend.Left, legend.Top = true, true
		legend.Add("sent", &plotter.Line{LineStyle: offered})
		legend.Draw(draw.Crop(dc, vg.Points(490), 0, 0, -vg.Points(10)))
		return figure.WriteSVG(w, canvas)
	}
}

var offered = draw.LineStyle{Color: color.Gray{0x88}, Width: vg.Points(1), Dashes: []vg.Length{vg.Points(1.5), vg.Points(2.5)}}

func coursePanel(courses []course) (*plot.Plot, error) {
	first := courses[0]
	end := first.points[len(first.points)-1].after.Seconds()
	panel := figure.NewPlot()
	panel.Title.Text = fmt.Sprintf("%s, %.0f KB/s, round trip %.0f ms", first.direction, first.rate/1e3, ms(first.roundTrip))
	panel.X.Label.Text = "seconds; in the grey band there is no network"
	top := first.rate / 1e6 * end
	panel.X.Min, panel.X.Max, panel.Y.Min, panel.Y.Max = 0, end, 0, top*1.04
	band, err := plotter.NewPolygon(plotter.XYs{{X: first.from.Seconds(), Y: 0}, {X: first.to.Seconds(), Y: 0}, {X: first.to.Seconds(), Y: panel.Y.Max}, {X: first.from.Seconds(), Y: panel.Y.Max}})
	if err != nil {
		return nil, err
	}
	band.Color, band.LineStyle.Width = color.Gray{0xe4}, 0
	panel.Add(band, figure.Grid())
	sent, err := plotter.NewLine(plotter.XYs{{}, {X: end, Y: top}})
	if err != nil {
		return nil, err
	}
	sent.LineStyle = offered
	panel.Add(sent)
	for _, c := range courses {
		var xys plotter.XYs
		for _, p := range c.points {
			xys = append(xys, plotter.XY{X: p.after.Seconds(), Y: float64(p.bytes) / 1e6})
		}
		line, err := plotter.NewLine(xys)
		if err != nil {
			return nil, err
		}
		line.LineStyle = looks[c.subject].Line()
		panel.Add(line)
	}
	return panel, nil
}

// The recovery plot's vertical scale, in milliseconds; its top row is for streams
// whose speed did not come back.
const (
	leastShown = 1.0
	mostShown  = 200e3
	neverRow   = 600e3
	topShown   = 1500e3
)

// recoveryPlot has a panel for each round trip: how long after the next channel an
// upload runs at full speed again, by the messages that the cut has lost.
func recoveryPlot(recoveries []recovery) figure.Content {
	return func(w io.Writer) error {
		const width, height, head = 860, 400, 30
		canvas := vgsvg.New(vg.Points(width), vg.Points(height))
		dc := draw.New(canvas)
		figure.Sheet(dc)
		lost := of(recoveries, func(r recovery) bool { return r.lost == lostInputs }, func(r recovery) recovery { return r })
		var row []*plot.Plot
		for _, roundTrip := range unique(lost, func(r recovery) time.Duration { return r.roundTrip }) {
			panel, err := recoveryPanel(roundTrip, of(lost, func(r recovery) bool { return r.roundTrip == roundTrip }, func(r recovery) recovery { return r }))
			if err != nil {
				return err
			}
			row = append(row, panel)
		}
		tiles := draw.Tiles{Rows: 1, Cols: len(row), PadX: vg.Points(18), PadTop: vg.Points(head + 4), PadBottom: vg.Points(8), PadLeft: vg.Points(26), PadRight: vg.Points(12)}
		for i, c := range plot.Align([][]*plot.Plot{row}, tiles, dc)[0] {
			row[i].Draw(c)
		}
		// Align would make room for a label in the wrong place on a log scale.
		label := row[0].Y.Label.TextStyle
		label.Rotation = math.Pi / 2
		label.XAlign, label.YAlign = draw.XCenter, draw.YTop
		dc.FillText(label, vg.Point{X: vg.Points(8), Y: vg.Points(height-head) / 2}, "from the next channel to full speed, median")
		for i, subject := range []string{ourSession, ourPlugin, realPlugin} {
			legend := figure.NewPlot().Legend
			legend.Left, legend.Top = true, true
			legend.Add(subject, &plotter.Line{LineStyle: looks[subject].Line()}, &plotter.Scatter{GlyphStyle: looks[subject].Glyph()})
			legend.Draw(draw.Crop(dc, vg.Points(150+float64(i)*150), 0, 0, -vg.Points(10)))
		}
		legend := figure.NewPlot().Legend
		legend.Left, legend.Top = true, true
		legend.Add("2 round trips", &plotter.Line{LineStyle: offered})
		legend.Draw(draw.Crop(dc, vg.Points(610), 0, 0, -vg.Points(10)))
		return figure.WriteSVG(w, canvas)
	}
}

func recoveryPanel(roundTrip time.Duration, recoveries []recovery) (*plot.Plot, error) {
	panel := figure.NewPlot()
	panel.Title.Text = fmt.Sprintf("round trip %.0f ms", ms(roundTrip))
	panel.X.Label.Text = "messages lost in the cut"
	panel.X.Scale, panel.Y.Scale = plot.LogScale{}, plot.LogScale{}
	panel.X.Tick.Marker = plot.ConstantTicks{{Value: 10, Label: "10"}, {Value: 100, Label: "100"}, {Value: 1000, Label: "1,000"}, {Value: 10_000, Label: "10,000"}}
	panel.Y.Tick.Marker = plot.ConstantTicks{
		{Value: 1, Label: "1 ms"}, {Value: 10, Label: "10 ms"}, {Value: 100, Label: "100 ms"}, {Value: 1e3, Label: "1 s"},
		{Value: 10e3, Label: "10 s"}, {Value: 100e3, Label: "100 s"}, {Value: neverRow, Label: "not in time"},
	}
	panel.Add(figure.Grid())
	limit, err := plotter.NewLine(plotter.XYs{{X: 6, Y: mostShown}, {X: 18_000, Y: mostShown}})
	if err != nil {
		return nil, err
	}
	limit.Color = color.Gray{0x66}
	goal, err := plotter.NewLine(plotter.XYs{{X: 6, Y: 2 * ms(roundTrip)}, {X: 18_000, Y: 2 * ms(roundTrip)}})
	if err != nil {
		return nil, err
	}
	goal.LineStyle = offered
	panel.Add(limit, goal)
	for _, subject := range []string{ourSession, ourPlugin, realPlugin} {
		var back, never plotter.XYs
		own := of(recoveries, func(r recovery) bool { return r.subject == subject }, func(r recovery) recovery { return r })
		for _, want := range unique(own, func(r recovery) int { return r.want }) {
			same := of(own, func(r recovery) bool { return r.want == want }, func(r recovery) recovery { return r })
			x := float64(median(of(same, func(recovery) bool { return true }, func(r recovery) int64 { return int64(r.messages) })))
			fulls := of(same, func(r recovery) bool { return r.full >= 0 }, func(r recovery) time.Duration { return r.full })
			if len(fulls) > 0 {
				back = append(back, plotter.XY{X: x, Y: max(ms(median(fulls)), leastShown)})
			}
			if len(fulls) < len(same) {
				never = append(never, plotter.XY{X: x, Y: neverRow})
			}
		}
		if len(back) > 0 {
			line, err := plotter.NewLine(back)
			if err != nil {
				return nil, err
			}
			line.LineStyle = looks[subject].Line()
			panel.Add(line)
		}
		for _, xys := range []plotter.XYs{back, never} {
			if len(xys) == 0 {
				continue
			}
			points, err := plotter.NewScatter(xys)
			if err != nil {
				return nil, err
			}
			points.GlyphStyle = looks[subject].Glyph()
			panel.Add(points)
		}
	}
	panel.X.Min, panel.X.Max, panel.Y.Min, panel.Y.Max = 6, 18_000, leastShown*0.9, topShown
	return panel, nil
}
