using System.Net.ServerSentEvents;
using System.Text.Json;
using Xunit;

namespace Gradus.Api.Tests.Jobs;

/// <summary>The progress streams: live, resumed without a gap, closed by a last event.</summary>
public sealed class ProgressTests(ApiHost host)
{
    [Fact]
    public async Task AStreamTellsEachStepAndEndsWithDone()
    {
        await using var service = await host.StartAsync("--Gradus:ProgressSeconds=0.05");
        var job = await host.JobAsync("running", totalSteps: 4);
        await host.StepAsync(job, 1, ("reward", 0.1), ("step_time", 2));
        await using var events = await FollowAsync(service.Client, $"/v1/jobs/{job}/progress", null);
        var present = await NextAsync(events);
        Assert.Equal(("progress", 1, 4, 6.0), (present.Name, present.Step, present.Data.GetProperty("total_steps").GetInt32(), present.Data.GetProperty("seconds_left").GetDouble()));
        Assert.Equal(0.1, present.Data.GetProperty("metrics").GetProperty("reward").GetDouble());
        await host.StepAsync(job, 2, ("reward", 0.2));
        await host.StepAsync(job, 3, ("reward", 0.3));
        Assert.Equal(2, (await NextAsync(events)).Step);
        Assert.Equal((3, "0-3-running"), await NextAsync(events) is var third ? (third.Step, third.Id) : default);
        await host.StepAsync(job, 4, ("reward", 0.4));
        await host.StatusAsync(job, "succeeded");
        var rest = new List<Progress>();
        while (await events.MoveNextAsync()) rest.Add(Read(events.Current));
        Assert.Equal(("done", 4, "succeeded"), (rest[^1].Name, rest[^1].Step, rest[^1].Data.Text("status")));
        Assert.Equal([4], rest[..^1].Select(entry => entry.Step).Distinct());
    }

    [Fact]
    public async Task AClientThatComesBackGetsWhatItMissed()
    {
        var job = await host.JobAsync("running", totalSteps: 9);
        for (var step = 1; step <= 5; step++) await host.StepAsync(job, step, ("reward", step));
        await using var events = await FollowAsync(host.Client, $"/v1/jobs/{job}/progress", "0-2-running");
        for (var step = 3; step <= 5; step++) Assert.Equal(step, (await NextAsync(events)).Step);
        await host.StatusAsync(job, "failed");
        Progress last;
        do last = await NextAsync(events);
        while (last.Name != "done");
        Assert.Equal("failed", last.Data.Text("status"));
        Assert.False(await events.MoveNextAsync());
        // All of it was read: a browser that reconnects is told so.
        using var request = new HttpRequestMessage(HttpMethod.Get, $"/v1/jobs/{job}/progress");
        request.Headers.Add("Last-Event-ID", last.Id);
        using var again = await host.Client.SendAsync(request, Requests.Cancel);
        Assert.Equal(204, (int)again.StatusCode);
    }

    [Fact]
    public async Task ARunsStreamGoesFromJobToJob()
    {
        await using var service = await host.StartAsync("--Gradus:ProgressSeconds=0.05");
        var run = await host.Client.PostOkAsync("/v1/runs", """
            {"recipe":{"name":"two","stages":[{"name":"a","stage":"generate","options":{"kind":"problems","count":1}},{"name":"b","stage":"generate","options":{"kind":"problems","count":1}}]}}
            """);
        var jobs = run.GetProperty("jobs").EnumerateArray().Select(job => job.Text("id")).ToArray();
        await using var events = await FollowAsync(service.Client, $"/v1/runs/{run.Text("id")}/progress", null);
        Assert.Equal((jobs[0], "queued", 2), await NextAsync(events) is var queued ? (queued.Data.Text("job_id"), queued.Data.Text("status"), queued.Data.GetProperty("stages").GetInt32()) : default);
        await host.StepAsync(jobs[0], 1, ("rows", 1));
        await host.StatusAsync(jobs[0], "succeeded");
        await host.StepAsync(jobs[1], 1, ("rows", 1));
        await host.StatusAsync(jobs[1], "succeeded");
        var rest = new List<Progress>();
        while (await events.MoveNextAsync()) rest.Add(Read(events.Current));
        Assert.Equal(("done", "succeeded", jobs[1]), (rest[^1].Name, rest[^1].Data.Text("run_status"), rest[^1].Data.Text("job_id")));
        Assert.Contains(rest, entry => entry.Data.Text("job_id") == jobs[0] && entry.Step == 1);
        Assert.Contains(rest[..^1], entry => entry.Data.Text("job_id") == jobs[1] && entry.Step == 1);
    }

    [Fact]
    public async Task AnUnknownPlaceIsRefused()
    {
        var job = await host.JobAsync();
        using var request = new HttpRequestMessage(HttpMethod.Get, $"/v1/jobs/{job}/progress");
        request.Headers.Add("Last-Event-ID", "yesterday");
        using var response = await host.Client.SendAsync(request, Requests.Cancel);
        Assert.Equal("invalid_cursor", (await response.ErrorAsync(400)).Text("code"));
    }

    private sealed record Progress(string Name, string? Id, JsonElement Data)
    {
        public int Step => Data.GetProperty("step").GetInt32();
    }

    private static async Task<IAsyncEnumerator<SseItem<string>>> FollowAsync(HttpClient client, string path, string? lastEventId)
    {
        var request = new HttpRequestMessage(HttpMethod.Get, path);
        if (lastEventId is not null) request.Headers.Add("Last-Event-ID", lastEventId);
        var response = await client.SendAsync(request, HttpCompletionOption.ResponseHeadersRead, Requests.Cancel);
        Assert.Equal("text/event-stream", response.Content.Headers.ContentType!.MediaType);
        return SseParser.Create(await response.Content.ReadAsStreamAsync(Requests.Cancel)).EnumerateAsync(Requests.Cancel).GetAsyncEnumerator(Requests.Cancel);
    }

    private static async Task<Progress> NextAsync(IAsyncEnumerator<SseItem<string>> events)
    {
        Assert.True(await events.MoveNextAsync(), "the stream ended");
        return Read(events.Current);
    }

    private static Progress Read(SseItem<string> item) => new(item.EventType, item.EventId, JsonElement.Parse(item.Data));
}
