// Package figure writes what the studies publish: CSV files, and plots as SVG.
package figure

import (
	"bytes"
	"fmt"
	"image/color"
	"io"
	"math"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/font"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
	"gonum.org/v1/plot/vg/vgsvg"
)

// A Look tells a line from others without colour too.
type Look struct {
	Color  color.Color
	Shape  draw.GlyphDrawer
	Dashes []vg.Length
	Width  vg.Length
}

func (l Look) Line() draw.LineStyle {
	return draw.LineStyle{Color: l.Color, Width: l.Width, Dashes: l.Dashes}
}

func (l Look) Glyph() draw.GlyphStyle {
	return draw.GlyphStyle{Color: l.Color, Shape: l.Shape, Radius: vg.Points(4)}
}

// NewPlot returns a plot with the fonts of all.
func NewPlot() *plot.Plot {
	plot.DefaultFont = font.Font{Typeface: "Liberation", Variant: "Sans"}
	plotter.DefaultFont = plot.DefaultFont
	p := plot.New()
	p.Title.TextStyle.Font.Size = 13
	p.Title.Padding = vg.Points(6)
	for _, axis := range []*plot.Axis{&p.X, &p.Y} {
		axis.Label.TextStyle.Font.Size = 12
		axis.Tick.Label.Font.Size = 10.5
		axis.Padding = 0
	}
	p.Legend.TextStyle.Font.Size = 12
	p.Legend.ThumbnailWidth = vg.Points(38)
	return p
}

// Grid is the one behind the lines.
func Grid() *plotter.Grid {
	g := plotter.NewGrid()
	g.Horizontal.Color, g.Vertical.Color = color.Gray{0xdd}, color.Gray{0xdd}
	return g
}

// Sheet gives a drawing a background and an edge of its own: the page around it
// may be dark.
func Sheet(dc draw.Canvas) {
	dc.SetColor(color.White)
	dc.Fill(dc.Rectangle.Path())
	dc.SetLineStyle(draw.LineStyle{Color: color.Gray{0xbb}, Width: vg.Points(1)})
	dc.Stroke(draw.Crop(dc, vg.Points(0.5), -vg.Points(0.5), vg.Points(0.5), -vg.Points(0.5)).Path())
}

// Every returns ticks at the multiples of step.
func Every(step float64) plot.Ticker {
	return plot.TickerFunc(func(least, most float64) (ticks []plot.Tick) {
		for v := math.Ceil(least/step) * step; v <= most; v += step {
			ticks = append(ticks, plot.Tick{Value: v, Label: fmt.Sprintf("%.0f", v)})
		}
		return ticks
	})
}

// WriteSVG writes a drawing. It names fonts as wide as the one that was measured, for readers who do
// not have that.
func WriteSVG(w io.Writer, canvas *vgsvg.Canvas) error {
	var buf bytes.Buffer
	if _, err := canvas.WriteTo(&buf); err != nil {
		return err
	}
	_, err := w.Write(bytes.ReplaceAll(buf.Bytes(), []byte("font-family:Liberation Sans;"), []byte("font-family:Liberation Sans,Arial,Helvetica,sans-serif;")))
	return err
}
